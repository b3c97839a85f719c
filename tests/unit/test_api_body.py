"""A body is counted as it comes in, and one of too many elements is not kept."""

from __future__ import annotations

import pytest

from longrun_api.body import BYTES_PER_ELEMENT, IncomingBody
from longrun_api.problems import BodyTooLarge

MAX_BYTES = 100_000
MOST = MAX_BYTES // BYTES_PER_ELEMENT
PIECE = 1000


def received(body: bytes) -> IncomingBody:
    incoming = IncomingBody(MAX_BYTES)
    for start in range(0, len(body), PIECE):
        incoming.add(body[start : start + PIECE])
    return incoming


def test_what_has_too_many_elements_is_not_kept() -> None:
    incoming = received(b"[" + b"[]," * 30_000 + b"[]]")
    assert incoming.most_elements < 2 * MOST, "the rest was not even counted"
    with pytest.raises(BodyTooLarge, match="elements"):
        incoming.whole()


def test_too_many_elements_are_found_behind_strings_that_look_like_them() -> None:
    text = b'"' + b"[," * (2 * MOST) + b'",'
    for body in (b"[" + text + b"1," * (MOST + 1) + b"1]", b"[" + b"1," * (MOST + 1) + text + b"1]"):
        with pytest.raises(BodyTooLarge, match="elements"):
            received(body).whole()


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * (MOST - 2) + b"1]",
        b'["' + b"[,{" * 20_000 + b'"]',
        b'["' + b'\\",[' * 20_000 + b'"]',
        b'["' + b"[,{" * 20_000 + b'",' + b"1," * (MOST - 5) + b"1]",
    ],
    ids=["the most", "a string", "a string with quotes", "both"],
)
def test_as_many_as_are_taken_come_whole_whatever_their_strings_look_like(body: bytes) -> None:
    assert received(body).whole() == body


def test_a_body_is_bounded_in_bytes() -> None:
    with pytest.raises(BodyTooLarge, match="bytes"):
        received(b" " * (MAX_BYTES + 1))
