"""What a client gets for its Range, If-Range, If-Match and If-None-Match (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from longrun_api.conditions import Part, PreconditionFailed, RangeNotSatisfiable, is_current, part
from longrun_api.routes.files import disposition

ETAG = '"abc"'
SIZE = 10


@pytest.mark.parametrize(
    ("asked", "gets"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-", Part(0, 10)),
        ("bytes=3-5", Part(3, 6)),
        ("bytes=9-", Part(9, 10)),
        ("bytes=3-99999999999999999999999", Part(3, 10)),
        ("bytes=-3", Part(7, 10)),
        ("bytes=-99", Part(0, 10)),
        ("BYTES=1-2", Part(1, 3)),
        ("bytes= 1-2", Part(1, 3)),
        ("bytes=0000000000000000000000000001-2", Part(1, 3)),
        # what is not valid, or several ranges, gets the whole
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=1-2,5-6", None),
        ("items=1-2", None),
        ("bytes=１-2", None),
        ("", None),
    ],
)
def test_a_range_is_a_part_and_what_is_no_single_range_is_the_whole(asked: str, gets: Part | None) -> None:
    assert part({"range": asked}, ETAG, SIZE) == gets


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused_with_the_size(asked: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        part({"range": asked}, ETAG, SIZE)
    assert refused.value.headers == {"Content-Range": "bytes */10"}


def test_no_range_of_an_empty_file_can_be_had() -> None:
    for asked in ("bytes=0-", "bytes=-1"):
        with pytest.raises(RangeNotSatisfiable):
            part({"range": asked}, ETAG, 0)


@pytest.mark.parametrize(
    ("tag", "gets"),
    [(ETAG, Part(1, 3)), ('"other"', None), (f"W/{ETAG}", None), ("Wed, 21 Oct 2015 07:28:00 GMT", None)],
)
def test_a_part_for_another_version_is_the_whole_of_this_one(tag: str, gets: Part | None) -> None:
    assert part({"range": "bytes=1-2", "if-range": tag}, ETAG, SIZE) == gets


@pytest.mark.parametrize(
    ("known", "current"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        ('"x", "abc"', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ('"x,"abc"', False),
    ],
)
def test_a_client_that_has_this_version_is_told_so(known: str, current: bool) -> None:
    assert is_current(Headers({"if-none-match": known}), ETAG) is current


@pytest.mark.parametrize("wanted", [ETAG, '"x", "abc"', "*"])
def test_a_client_that_wants_this_version_gets_it(wanted: str) -> None:
    assert is_current(Headers({"if-match": wanted}), ETAG) is False


@pytest.mark.parametrize("wanted", ['"x"', f"W/{ETAG}", "", "abc"])
def test_a_client_that_wants_only_another_version_is_refused(wanted: str) -> None:
    with pytest.raises(PreconditionFailed):
        is_current(Headers({"if-match": wanted}), ETAG)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        (
            "Übersicht €.csv",
            "attachment; filename=\"_bersicht _.csv\"; filename*=UTF-8''%C3%9Cbersicht%20%E2%82%AC.csv",
        ),
        ('say "hi".txt', "attachment; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("it's;(1).txt", 'attachment; filename="it\'s;(1).txt"'),
    ],
)
def test_the_name_reaches_old_and_new_clients(name: str, header: str) -> None:
    assert disposition(name) == header
