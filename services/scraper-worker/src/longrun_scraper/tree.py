"""The tree of a page (HTML Standard §13.2), whose size is linear in that of the page.

turbohtml builds it in C and in linear time, with scripting on, so that `<noscript>` is inert.
"""

from __future__ import annotations

import re
from typing import Final

import turbohtml
from turbohtml import Document

MAX_TAGS: Final = 500_000
"""Maximum number of tags that are parsed; a page with nothing but tags then makes a tree of about 200 MB."""
MAX_CLONES: Final = 2_000_000
"""Maximum number of elements that unclosed formatting may add to the tree, at 30 bytes each."""

_DEEPEST: Final = 512
_FORMATTING: Final = re.compile(
    r"<(/?)(?:b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\t\n\f\r />])", re.IGNORECASE
)


def tree(markup: str) -> tuple[Document, bool]:
    """Parse a page; also return whether it was truncated after MAX_TAGS tags. Never raises."""
    bounded, cut = _bounded(markup)
    return turbohtml.parse(_tamed(bounded), scripting=True, positions=False), cut


def _bounded(markup: str) -> tuple[str, bool]:
    if markup.count("<") <= MAX_TAGS:
        return markup, False
    return markup[: len(markup) - len(markup.split("<", MAX_TAGS)[-1]) - 1], True


def _tamed(markup: str) -> str:
    """Replace all formatting by `<span>` if it could add more than MAX_CLONES elements.

    The standard reopens unclosed formatting in each later block (§13.2.4.3), so the number of elements of
    `<font size=1><p><font size=2><p>…` is quadratic in its length. Titles, headings and links do not change.
    """
    tags = markup.count("<")
    if tags * _DEEPEST <= MAX_CLONES:
        return markup
    formatting = sum(1 for _ in _FORMATTING.finditer(markup))
    return _FORMATTING.sub(r"<\1span", markup) if tags * min(formatting, _DEEPEST) > MAX_CLONES else markup
