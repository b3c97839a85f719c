"""Parse a page as browsers do (HTML Standard §13.2), and reduce it to a small BeautifulSoup.

The soup contains only the elements of turbohtml's `tree` that have a target (links, frames, `<base>`, `<meta>`) or a
needed text (title, h1). Their text is close to innerText, plus the labels of images and icons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bs4 import BeautifulSoup
from bs4.builder import HTMLTreeBuilder
from turbohtml import Element, Namespace, Node, Text

from longrun_scraper.tree import tree

MAX_KEPT: Final = 20_000
"""Maximum number of elements in the soup; the rest of the page is dropped. Each takes 25 µs and 2 KB."""

_READ: Final = frozenset({"title", "h1", "a"})
_KEPT: Final = _READ | {"area", "base", "frame", "meta"}
_ATTRIBUTES: Final = {
    "a": ("href", "rel"),
    "area": ("href", "rel", "alt"),
    "base": ("href",),
    "frame": ("src",),
    "meta": ("content", "http-equiv"),
}
"""The attributes that are kept. An element without the first one has no target and is left out."""
_INERT: Final = frozenset(
    {"script", "style", "noscript", "iframe", "noembed", "noframes", "datalist", "rp", "select", "textarea"}
)
_FOREIGN_INERT: Final = frozenset({"title", "desc", "metadata"})
_RELEVANT: Final = _KEPT | _FOREIGN_INERT
_BLOCK_NAMES: Final = """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol p plaintext pre search
    section summary table tbody td tfoot th thead tr ul xmp
"""
_BLOCKS: Final = frozenset(_BLOCK_NAMES.split())
"""Elements that separate words (by their `display` in HTML Standard §15.3)."""


@dataclass(slots=True)
class _Open:
    """An element whose children are being added: the remaining children, and the work to do at its end."""

    children: Iterator[Node]
    kept: str | None = None
    read: bool = False
    block: bool = False
    label: str | None = None
    words: int = 0


def soup(text: str) -> tuple[BeautifulSoup, bool]:
    """Parse the text of a page; also return whether it was truncated because of its size. Never raises."""
    builder = TreeBuilder()
    page = BeautifulSoup(text if "<" in text else "", builder=builder)
    return page, builder.cut


class TreeBuilder(HTMLTreeBuilder):
    """Builds a BeautifulSoup from turbohtml's tree; `cut` is whether the page was truncated."""

    NAME = "turbohtml"
    features = (NAME, "html")
    cut = False

    def feed(self, markup: str) -> None:
        """Add the page in document order, in one pass; called by BeautifulSoup."""
        self._kept = self._reading = self._words = 0
        document, self.cut = tree(markup)
        opened = [_Open(iter(document.children))]
        while opened and self._kept < MAX_KEPT:
            node = next(opened[-1].children, None)
            if node is None:
                self._end(opened.pop())
            elif isinstance(node, Element):
                if started := self._start(node):
                    opened.append(started)
            elif isinstance(node, Text) and self._reading:
                self._say(node.data)
        self.cut = self.cut or bool(opened)

    def _start(self, element: Element) -> _Open | None:
        """Add the element itself; None if its children are not needed."""
        tag, children = element.tag, element.children
        if not self._reading and tag not in _RELEVANT:  # the fast path for most of a page
            return _Open(iter(children)) if children and tag not in _INERT else None
        if tag == "br":
            self._say(" ")
            return None
        foreign = element.namespace is not Namespace.HTML
        if tag in _INERT or (foreign and tag in _FOREIGN_INERT):
            return None
        opened = _Open(iter(children))
        if self._reading:
            opened.block = not foreign and tag in _BLOCKS
            opened.label = _label(element, tag, foreign)
        if opened.block:
            self._say(" ")
        opened.words = self._words
        if tag in _KEPT and self._keep(element, tag, foreign):
            opened.kept = tag
            opened.read = tag in _READ
            self._reading += opened.read
            opened.label = opened.label or _label(element, tag, foreign)
        return opened

    def _keep(self, element: Element, tag: str, foreign: bool) -> bool:
        if foreign and tag != "a":
            return False
        names = _ATTRIBUTES.get(tag, ())
        attributes = {name: value for name in names if (value := element.attr(name)) is not None}
        if foreign and (href := element.attr("xlink:href")) is not None:
            attributes.setdefault("href", href)
        if names and names[0] not in attributes:
            return False
        self._kept += 1
        self.soup.handle_starttag(tag, None, None, attributes)
        return True

    def _end(self, opened: _Open) -> None:
        if opened.label and opened.words == self._words and self._reading:
            self._say(opened.label)
        if opened.kept:
            self.soup.handle_endtag(opened.kept)
            self._reading -= opened.read
        if opened.block:
            self._say(" ")

    def _say(self, text: str) -> None:
        self.soup.handle_data(text)
        self._words += not text.isspace()


def _label(element: Element, tag: str, foreign: bool) -> str | None:
    """The label of an element without text (after Accessible Name and Description Computation 1.2 §4.3)."""
    if foreign and tag == "svg":
        title = next((child for child in element.children if isinstance(child, Element) and child.tag == "title"), None)
        return element.attr("aria-label") or (title.text if title else None)
    if tag == "img" and (alt := element.attr("alt")) is not None:
        return alt
    return element.attr("aria-label") or (element.attr("title") if tag in ("a", "img") else None)
