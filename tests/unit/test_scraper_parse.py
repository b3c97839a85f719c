"""A page of any quality becomes a title, headings and links that can be read and stored."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobcore.outbound.urls import web_url
from longrun_scraper.document import Document
from longrun_scraper.parse import MAX_TEXT, parse
from tests.badsite import BROKEN, GOOD, TEXTS, charset_page

HTML = "text/html"
GUESSED = {"koi8-r": "koi8-u", "gb18030": "gbk"}
"""What chardetng says of them: each decodes both alike, but for a few characters."""
URL = "http://example.org/dir/page?x=1#top"


def read(body: bytes | str, content_type: str | None = HTML, max_links: int = 1000) -> Document:
    return parse(body.encode() if isinstance(body, str) else body, content_type, URL, max_links)


def urls(body: str) -> list[str]:
    return [link.url for link in read(body).links]


def storable(document: Document) -> bool:
    text = json.dumps(document.model_dump(mode="json"), ensure_ascii=False)
    return "\\u0000" not in text and text.encode("utf-8") != b""  # a lone surrogate raises


def test_a_good_page_is_read_as_a_browser_would() -> None:
    document = read(GOOD)
    assert document.title == "The Daily Example"
    assert document.h1 == ["Today", "Weather and tides"]
    assert [(link.url, link.text, link.rel) for link in document.links] == [
        ("http://example.org/news/2026/one.html", "First story", []),
        ("http://example.org/news/archive", "Archive", ["nofollow", "noopener"]),
        ("http://cdn.example.org/x.js", "Elsewhere", []),
        ("https://example.com/?q=a&b=c", "A query", []),
    ]


def test_links_are_absolute_without_fragment_once_each_in_order() -> None:
    page = '<a href="b">b</a><a href="/a#x">a</a><a href="b#y">again</a><a href="?q">q</a><a href="#z">here</a>'
    assert urls(page) == [
        "http://example.org/dir/b",
        "http://example.org/a",
        "http://example.org/dir/page?q",
        "http://example.org/dir/page?x=1",
    ]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ('<base href="/other/">', "http://example.org/other/a"),
        ('<base href="https://else.example/x/y">', "https://else.example/x/a"),
        ('<base target="_top"><base href="/first/"><base href="/second/">', "http://example.org/first/a"),
        ('<base href="http://[bad">', "http://example.org/dir/a"),
        ('<base href="javascript:alert(1)">', "http://example.org/dir/a"),
    ],
)
def test_base_href_is_honoured_where_it_can_be(base: str, url: str) -> None:
    assert urls(f"<head>{base}</head><a href='a'>a</a>") == [url]


@pytest.mark.parametrize(
    "href", ["mailto:a@b", "javascript:x()", "ftp://x/", "data:text/html,x", "http://[x", "http://u:p@h/"]
)
def test_what_web_scrape_could_not_fetch_is_no_link(href: str) -> None:
    assert urls(f'<a href="{href}">x</a>') == []


def test_links_with_spaces_and_line_breaks_become_urls() -> None:
    assert urls('<a href=" /a b\u3000c\n/d ">x</a>') == ["http://example.org/a%20b%E3%80%80c/d"]


def test_links_texts_and_pages_are_bounded() -> None:
    links = "".join(f"<a href='/{n}'>x</a>" for n in range(50))
    assert len(read(links, max_links=7).links) == 7
    assert read(links, max_links=7).truncated == ["links"]
    document = read(f"<title>{'t' * 9999}</title><h1>{'h' * 9999}</h1>{'<h1>x</h1>' * 500}")
    assert len(document.title or "") == MAX_TEXT == len(document.h1[0])
    assert len(document.h1) == 100
    assert document.truncated == ["title", "h1"]


@pytest.mark.parametrize("character", ["a", "é", "中", "\x7f", "\\", "💩"])
def test_a_result_is_below_a_mebibyte_of_json(character: str) -> None:
    text = character * 1000
    links = "".join(f"<a href='/{n}/{'a' * 900}' rel='{text} ' >{text}</a>" for n in range(1000))
    document = read(f"<title>{text}</title>{f'<h1>{text}</h1>' * 100}{links}", max_links=10**6)
    assert len(json.dumps(document.model_dump())) < 1_000_000
    assert "links" in document.truncated
    assert len(document.h1) > 20


@pytest.mark.parametrize("charset", TEXTS)
@pytest.mark.parametrize("header", ["utf-8", "no-such-charset", "base64", "utf-16", ""])
def test_a_header_that_the_bytes_contradict_makes_no_mojibake(charset: str, header: str) -> None:
    document = read(charset_page(charset), f"text/html; charset={header}" if header else HTML)
    assert document.title == TEXTS[charset][0]
    assert document.charset == GUESSED.get(charset, charset)


@pytest.mark.parametrize(
    ("text", "charset"),
    [("ニュース", "shift_jis"), ("Привет", "windows-1251"), ("año niño", "windows-1252")],
)
def test_a_word_or_two_are_enough_to_guess_by(text: str, charset: str) -> None:
    page = f"<html><head><title>{text}</title></head><body><h1>{text}</h1><p>{text}</p></body></html>"
    document = read(page.encode(charset))
    assert (document.title, document.charset) == (text, charset)


def test_utf_8_that_is_called_latin1_is_still_utf_8() -> None:
    document = read(charset_page("utf-8"), "text/html; charset=ISO-8859-1")
    assert (document.title, document.charset) == (TEXTS["utf-8"][0], "utf-8")


@pytest.mark.parametrize("charset", TEXTS)
def test_the_charset_is_taken_from_the_meta_element(charset: str) -> None:
    document = read(charset_page(charset, meta=True))
    assert (document.title, document.charset) == (TEXTS[charset][0], charset)


def test_the_header_goes_before_the_meta_element() -> None:
    page = charset_page("windows-1251").replace(b"<head>", b'<head><meta charset="koi8-r">')
    assert read(page, 'text/html; Charset="Windows-1251"').title == TEXTS["windows-1251"][0]


@pytest.mark.parametrize(("codec", "name"), [("utf-8-sig", "utf-8"), ("utf-16", "utf-16le")])
def test_a_byte_order_mark_goes_before_everything(codec: str, name: str) -> None:
    page = charset_page("utf-8").decode().encode(codec)
    document = read(page, "text/html; charset=windows-1251")
    assert (document.title, document.charset) == (TEXTS["utf-8"][0], name)


def test_one_bad_byte_does_not_spoil_a_page() -> None:
    page = charset_page("utf-8").replace(b"</p>", b" \xe9</p>" + "straße ".encode() * 50)
    assert read(page).charset == "utf-8"


def test_shift_jis_means_what_it_means_on_the_web() -> None:
    page = "<title>①～髙</title>".encode("cp932")
    assert read(page, "text/html; charset=Shift_JIS").title == "①～髙"


@pytest.mark.parametrize("mime", ["application/pdf", "application/json", "image/png", "text/plain", "non/sense"])
def test_anything_but_html_has_no_title_headings_and_links(mime: str) -> None:
    document = read(GOOD, f"{mime}; charset=UTF-8")
    assert document == Document(content_type=mime, charset="utf-8")


def test_html_without_a_content_type_is_still_html() -> None:
    assert read(GOOD, None).title == "The Daily Example"
    assert read("%PDF-1.7 <title>no</title>", None).title is None


def test_broken_html_gives_what_can_be_had() -> None:
    document = read(BROKEN)
    assert document.title is not None
    assert document.title.startswith("Broken & bent")
    assert [link.url.removeprefix("http://example.org") for link in document.links][:3] == ["/a", "/b", "/c"]


CONTENT_TYPES = st.sampled_from(["utf-8", "utf-16", "shift_jis", "utf-7", "punycode", "unicode_escape", "\0", "x"]).map(
    lambda charset: f"text/html; charset={charset}"
)
SNIPPETS = st.sampled_from(
    [
        *(b"<a href='", b"'>", b"</a>", b"<h1>", b"<title>", b"<base href=", b"<meta charset=", b"<!--"),
        *(b"&#0;", b"&#xD800;", b"\0", b"\xed\xa0\x80", b"\xff\xfe", b"\x00\xd8", b"\xd8", b"rel='\0\xd8 x'"),
        *(b"http://", b"%", b"[", b" "),
    ]
)
PAGES = st.one_of(st.binary(), st.lists(SNIPPETS | st.binary(max_size=4), max_size=30).map(b"".join))


@given(PAGES, CONTENT_TYPES | st.none() | st.text())
@example(b"<title>\xed\xa0\x80&#xD800;&#0;\0</title>", "text/html; charset=utf-8")
@example(b"\xff\xfe<\x00\x00\xd8", "text/html")
@example(b"<a href='/\0x&#0;y&#xD800;z'>x</a>", "text/html")
@example(b"", "text/\0x\ud800; charset=\0\udfff")
def test_any_bytes_make_a_document_that_can_be_stored(body: bytes, content_type: str | None) -> None:
    document = read(body, content_type)
    assert storable(document)
    for link in document.links:
        assert web_url(link.url).href == link.url
