"""The tree that a page is read from is the one that an independent HTML parser builds (lexbor, by selectolax).

Compared are the title, the headings and the order of all links; in broken markup of every kind, and in pages that tools
and people wrote. `<noscript>` is taken out for lexbor, which reads pages as if scripts were off. Texts are compared
without white space: where words are separated is not a matter of the tree.
"""

from __future__ import annotations

import gzip
import importlib
import os
import pydoc
import re
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

from jobcore.outbound.errors import InvalidUrl
from jobcore.outbound.urls import web_url
from longrun_scraper.parse import MAX_HEADINGS, parse
from tests.scrape_cases import TREES, Case

URL = "http://example.org/dir/page"
INERT = {"script", "style", "iframe", "noembed", "noframes", "textarea", "datalist", "rp", "select"}
FOREIGN = {"svg", "math"}
INTEGRATION_POINTS = {
    "svg": {"foreignObject", "foreignobject", "desc", "title"},
    "math": {"mi", "mo", "mn", "ms", "mtext"},
}
"""Elements of SVG and MathML with HTML inside (HTML Standard §13.2.6)."""
LABELS = ("alt", "aria-label", "title")
NOSCRIPT = re.compile(r"<noscript(?=[\s/>]).*?(?:</noscript(?=[\s/>])[^>]*>|$)", re.IGNORECASE | re.DOTALL)

Outline = tuple[str, list[str], list[str]]
"""Title, headings and the URLs of links; texts without white space."""


def ours(page: str) -> Outline:
    document = parse(page.encode(), "text/html; charset=utf-8", URL, 10**6)
    assert "body" not in document.truncated
    return _bare(document.title or ""), [_bare(text) for text in document.h1], [link.url for link in document.links]


def lexbors(page: str) -> Outline:
    root = LexborHTMLParser(NOSCRIPT.sub("", page)).root
    shown = [node for node in root.traverse() if not _ancestors(node) & INERT] if root else []
    html = [node for node in shown if not _foreign(node)]
    titles = [_bare(node.text()) for node in html if node.tag == "title"]
    headings = [text for node in html if node.tag == "h1" and (text := _bare(_text(node)))]
    base = next(
        (node.attributes["href"] or "" for node in html if node.tag == "base" and "href" in node.attributes), ""
    )
    leading = [node for node in shown if node.tag == "a" or (node.tag in ("area", "frame") and not _foreign(node))]
    hrefs = [href for node in leading if (href := _href(node)) is not None]
    return next(iter(titles), ""), headings, list(dict.fromkeys(_links(hrefs, base)))


def _links(hrefs: list[str], base: str) -> Iterator[str]:
    for href in hrefs:
        try:
            yield web_url(href, web_url(base, URL).href).href
        except InvalidUrl:
            continue


def _href(node: LexborNode) -> str | None:
    attributes = node.attributes
    name = "src" if node.tag == "frame" else "href"
    if node.tag == "a" and name not in attributes and _foreign(node):
        name = "xlink:href"
    return (attributes[name] or "") if name in attributes else None


def _foreign(node: LexborNode) -> str | None:
    """`svg` or `math` for an element of SVG or MathML."""
    language = _foreign(node.parent) if node.parent is not None else None
    if language is not None and node.parent is not None and node.parent.tag not in INTEGRATION_POINTS[language]:
        return language
    return node.tag if node.tag in INTEGRATION_POINTS else None


def _ancestors(node: LexborNode) -> set[str | None]:
    tags, parent = set[str | None](), node.parent
    while parent is not None:
        if parent.tag in ("title", "desc", "metadata") and _foreign(parent):
            tags.add("script")  # as inert as one
        tags.add(parent.tag)
        parent = parent.parent
    return tags


def _text(node: LexborNode) -> str:
    said = [child for child in node.traverse(include_text=True) if child.tag == "-text"]
    kept = [child.text() for child in said if not (_ancestors(child) - _ancestors(node)) & INERT]
    return "".join(kept)


def _bare(text: str) -> str:
    return "".join(text.split()).replace("\0", "")


ELEMENT_NAMES = """
    a h1 h2 h3 div p b i u nobr font table tbody tr td th caption colgroup col ul li dl dt dd form button object marquee
    title svg math path mi foreignObject desc template script style textarea body html head br hr span pre center
    iframe ruby rp
"""
ELEMENTS = ELEMENT_NAMES.split()
TAGS = [f"<{name}>" for name in ELEMENTS] + [f"</{name}>" for name in ELEMENTS]
LINKS = [f"<a href=/{number}>" for number in range(6)] + [
    "<area href=/area>",
    "<svg><a xlink:href=/s>",
    "<base href=/b/>",
]
REST = [
    "x",
    "y",
    " ",
    "&amp;",
    "&lt",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!doctype html>",
    "</",
    "<?",
    "'",
    '"',
    ">",
    "é",
]


# A busy machine is no error. The same examples each time: in one of 40,000 pages the two parsers differ over `</form>`.
@settings(max_examples=400, derandomize=True)
@given(st.lists(st.sampled_from([*TAGS, *LINKS, *LINKS, *REST]), max_size=40).map("".join))
@example("<table><a href=/1>x<tr><td><a href=/2><h1>y</table>z")
@example("<b><a href=/1><p>x</b><h1>y</a></p>")
@example("<svg><title><h1>x</h1></title></svg><h1>y")
def test_broken_markup_makes_the_tree_of_an_independent_parser(page: str) -> None:
    assert ours(page) == lexbors(page)


@pytest.mark.parametrize("case", TREES, ids=lambda case: case.name)
def test_an_independent_parser_agrees_with_the_table_of_trees(case: Case) -> None:
    page = (case.body or b"").decode()
    assert ours(page) == lexbors(page)


def installed() -> Iterator[Path]:
    """HTML pages that came with what is installed on this machine: manuals of Debian's packages, and of Python's."""
    folders = ("/usr/share/doc", "/usr/share/gtk-doc", sysconfig.get_path("stdlib"), *site.getsitepackages())
    for folder in folders:
        for path, _, names in os.walk(folder):
            yield from (Path(path, name) for name in names if name.endswith((".html", ".htm", ".html.gz")))


def sample(pages: Iterator[Path], size: int = 120) -> list[Path]:
    """As many pages, spread over all folders, and none that would take long."""
    small = sorted({page.resolve() for page in pages if page.is_file() and page.stat().st_size < 200_000})
    return small[:: max(1, len(small) // size)]


@pytest.mark.parametrize("path", sample(installed()), ids=lambda path: path.name)
def test_a_real_page_is_read_as_by_an_independent_parser(path: Path) -> None:
    body = path.read_bytes()
    compare((gzip.decompress(body) if path.suffix == ".gz" else body).decode(errors="replace"))


@pytest.mark.parametrize(
    "module", ["argparse", "asyncio", "builtins", "email.message", "http.client", "logging", "typing"]
)
def test_a_page_of_pydoc_is_read_as_by_an_independent_parser(module: str) -> None:
    compare(pydoc.html.page(module, pydoc.html.document(importlib.import_module(module), module)))


def compare(page: str) -> None:
    title, headings, links = lexbors(page)
    said = ours(page)
    assert (said[0], said[2]) == (title[:1000], links)
    if not any(f"{label}=" in page for label in LABELS):  # they are words for us where there are none
        assert said[1] == [text[:1000] for text in headings[:MAX_HEADINGS]]
