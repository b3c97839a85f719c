"""A page that was made to cost much costs no more than another of its length."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from longrun_scraper import prescan
from longrun_scraper.document import Document
from longrun_scraper.parse import parse
from longrun_scraper.tree import MAX_TAGS, tree


def read(page: bytes | str) -> Document:
    return parse(page.encode() if isinstance(page, str) else page, "text/html", "http://example.org/dir/page", 1000)


FLOODS: dict[str, Callable[[int], str]] = {
    "line breaks": lambda n: "<h1>x" + "<br>" * n,
    "equal links": lambda n: "<a href=/x>l</a>" * n,
    "links": lambda n: "".join(f"<a href=/{k}>l</a>" for k in range(n)),
    "nested h1": lambda n: "<h1>" * n,
    "nested div": lambda n: "<div>" * n + "</p></span>" * n,
    "nested links": lambda n: "<a href=/x><object>" * n + "<img alt=x>" * n,
    "formatting": lambda n: "".join(f"<font size={k}>" for k in range(n // 2)) + "<p>" * (n // 2),
    "tables": lambda n: "<table><td><a href=/x>" * n,
    "attributes": lambda n: "<a href=/x " + " ".join(f"a{k}=1" for k in range(n)) + ">x</a>",
    "white space": lambda n: "<h1>" + "     " * n + "x" + "<a href=/x> " * n,
    "comments": lambda n: "<!--" * n,
    "prescan": lambda n: "<meta charset" * n,
    "refresh": lambda n: f"<meta http-equiv=refresh content='{' ' * n}0{';' * n}'>",
    "templates": lambda n: "<template>" * n,
    "entities": lambda n: "<title>" + "&notit;&#0;" * n,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_page_of_nothing_but_markup_takes_work_that_grows_with_its_length_only(flood: str) -> None:
    half, whole = (_calls(FLOODS[flood](count).encode()) for count in (4_000, 8_000))
    assert whole < 2.2 * half + 1000  # quadratic work would be four times that of the half


def test_formatting_that_is_never_closed_does_not_multiply() -> None:
    fonts = "".join(f"<font size={k}><p>x" for k in range(20_000)) + "<h1>yes"
    document, _ = tree(fonts)
    assert sum(1 for _ in document.iter_elements()) < 2 * fonts.count("<")
    assert read(fonts).h1 == ["yes"]


def test_a_page_has_no_more_tags_than_are_parsed_also_where_its_charset_is_looked_for() -> None:
    flood = f"<!--{' ' * 1024}--><!--charset-->" + "<b>" * (MAX_TAGS + 10)
    document, cut = tree(flood)
    assert cut
    assert sum(1 for _ in document.iter_elements()) < MAX_TAGS + 10
    assert read(flood).truncated == ["body"]
    assert prescan.declared_charset(flood.encode()) is None


def test_a_delay_of_a_million_digits_is_read_in_one_go() -> None:
    assert read(f"<meta http-equiv=refresh content='{'1' * 10**6}'>").refresh is None  # else it takes hours


def test_links_that_an_endless_base_would_lengthen_are_left_out_and_that_is_told() -> None:
    page = f"<base href='/{'a' * 10**6}'>" + "".join(f"<a href=x{k}>x</a>" for k in range(10_000))
    document = read(page + "<a href=http://example.com/>y</a>")
    assert [link.url for link in document.links] == ["http://example.com/"]
    assert document.truncated == ["links"]


def test_an_empty_page_is_utf_8() -> None:
    assert read(b"").charset == "utf-8"


def test_nesting_ends_at_512_as_in_chromium() -> None:
    deep = read("<div>" * 100_000 + "<a href=/x>x</a>")
    assert [link.url for link in deep.links] == ["http://example.org/x"]


def _calls(body: bytes) -> int:
    """How many functions reading this page calls."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read(body)
    finally:
        sys.setprofile(None)
    return calls
