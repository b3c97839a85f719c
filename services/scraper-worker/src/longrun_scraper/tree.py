"""The tree of a page (HTML Standard §13.2), of a size that grows with the page and no faster.

turbohtml builds it, in C and in linear time, with scripting on, so that `<noscript>` is inert.
"""

from __future__ import annotations

import re
from typing import Final

import turbohtml
from turbohtml import Document

MAX_TAGS: Final = 500_000
"""Tags of a page that are parsed; a page of nothing else makes a tree of about 200 MB then."""
MAX_CLONES: Final = 2_000_000
"""Elements that formatting which is never closed may add to the tree, 30 bytes each."""

_DEEPEST: Final = 512
_FORMATTING: Final = re.compile(
    r"<(/?)(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\t\n\f\r />])", re.IGNORECASE
)


def tree(markup: str) -> tuple[Document, bool]:
    """Parse a page; also whether it had more than MAX_TAGS tags, and was cut there. Never raises."""
    bounded, cut = _bounded(markup)
    return turbohtml.parse(_tamed(bounded), scripting=True, positions=False), cut


def _bounded(markup: str) -> tuple[str, bool]:
    if markup.count("<") <= MAX_TAGS:
        return markup, False
    return markup[: len(markup) - len(markup.split("<", MAX_TAGS)[-1]) - 1], True


def _tamed(markup: str) -> str:
    """The page with `<span>` for all formatting, if that could multiply its elements beyond MAX_CLONES.

    The standard opens formatting that was not closed anew in each later block (§13.2.4.3), so the elements of `<font
    size=1><p><font size=2><p>…` grow with the square of its length. Titles, headings and links are the same either way.
    """
    tags = markup.count("<")
    if tags * _DEEPEST <= MAX_CLONES:
        return markup
    formatting = sum(1 for _ in _FORMATTING.finditer(markup))
    return _FORMATTING.sub(r"<\1span", markup) if tags * min(formatting, _DEEPEST) > MAX_CLONES else markup
