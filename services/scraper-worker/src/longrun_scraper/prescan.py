"""The charset that a page declares in a `<meta>` element.

First the first 1,024 bytes are scanned (HTML Standard §13.2.3.2, "prescan a byte stream to determine its encoding").
Then, as in browsers, the first `<meta>` of the parsed page that names a known charset counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import webencodings

from longrun_scraper.tree import tree

_WINDOW: Final = 1024
_MARKUP: Final = re.compile(
    rb"""(?P<comment><!--)
    |(?P<meta><meta(?=[\t\n\x0c\r /]))
    |(?P<tag></?[a-z][^\t\n\x0c\r >]*)
    |(?P<other><[!/?])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ATTRIBUTE: Final = re.compile(
    rb"""[\t\n\x0c\r /]*+
    (?P<name>=?[^\t\n\x0c\r /=>]*+)
    (?:
        [\t\n\x0c\r ]*+=[\t\n\x0c\r ]*+
        (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^"'\t\n\x0c\r >][^\t\n\x0c\r >]*+)|)
    )?
    """,
    re.VERBOSE,
)
_CONTENT: Final = re.compile(
    r"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))""", re.IGNORECASE
)
# A declaration in ASCII cannot be in UTF-16, and x-user-defined means windows-1252 (HTML Standard §13.2.3.2).
_MEANT: Final = {"utf-16le": "utf-8", "utf-16be": "utf-8", "x-user-defined": "windows-1252"}


def declared_charset(body: bytes) -> str | None:
    """The charset in the first `<meta>` that declares a known one; None if there is none."""
    return _prescanned(body[:_WINDOW]) or (_late(body) if len(body) > _WINDOW else None)


def _prescanned(start: bytes) -> str | None:
    at = 0
    while markup := _MARKUP.search(start, at):
        at = markup.end()
        if markup["comment"]:
            at = _after(b"-->", start, at - 2)
        elif markup["other"]:
            at = _after(b">", start, at)
        else:
            attributes: dict[str, str] = {}
            for name, value, end in _attributes(start, at):
                attributes.setdefault(name, value)
                at = end
            if at >= len(start):
                return None  # the tag is truncated
            if markup["meta"] and (label := _label(attributes)):
                return label
    return None


def _after(end: bytes, start: bytes, at: int) -> int:
    found = start.find(end, at)
    return len(start) if found < 0 else found + len(end)


def _attributes(start: bytes, at: int) -> Iterator[tuple[str, str, int]]:
    while (found := _ATTRIBUTE.match(start, at)) and found["name"]:
        value = found["double"] or found["single"] or found["plain"] or b""
        at = found.end()
        yield found["name"].lower().decode("latin-1"), value.decode("latin-1"), at


def _late(body: bytes) -> str | None:
    lower = body.lower()
    if not 0 <= lower.find(b"<meta") < lower.rfind(b"charset"):
        return None
    page, _ = tree(body.decode("latin-1"))
    metas = ({name: _text(value) for name, value in meta.attrs.items()} for meta in page.select("meta"))
    return next((label for attributes in metas if (label := _label(attributes))), None)


def _text(value: str | list[str] | None) -> str:
    return " ".join(value) if isinstance(value, list) else value or ""


def _label(attributes: dict[str, str]) -> str | None:
    """The charset that a `<meta>` declares, if it is known."""
    label = attributes.get("charset")
    if label is None and attributes.get("http-equiv", "").lower() == "content-type":
        found = _CONTENT.search(attributes.get("content", ""))
        label = next(filter(None, found.groups()), None) if found else None
    encoding = webencodings.lookup(label) if label else None
    return _MEANT.get(encoding.name, encoding.name) if encoding else None
