"""A server's Retry-After is obeyed in each of its forms (RFC 9110 §10.2.3), and cannot park a job for good."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun_scraper.retry_after import LONGEST_S, delay_s

NOW = datetime(1994, 11, 6, 8, 48, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 60),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 60),
        ("Sun Nov  6 08:49:37 1994", 60),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        ("9" * 400, LONGEST_S),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("", None),
    ],
)
def test_the_delay_of_a_header(header: str | None, seconds: float | None) -> None:
    assert delay_s(header, NOW) == seconds


@given(st.text())
def test_any_header_gives_a_bounded_delay_or_none(header: str) -> None:
    delay = delay_s(header)
    assert delay is None or 0 <= delay <= LONGEST_S
