"""Detect the charset of a page: a declared charset counts only if the bytes agree with it.

    byte order mark ▸ UTF-16 by its zeros ▸ Content-Type header ▸ <meta> ▸ UTF-8 ▸ a guess, as in Firefox

Labels and names are those of the WHATWG Encoding Standard ("latin1" means windows-1252). The guess comes from
turbohtml's port of chardetng. `docs/adr/0014-the-scraper-reads-as-browsers-do.md` lists differences from browsers.
"""

from __future__ import annotations

import re
from typing import Final

import webencodings
from turbohtml.detect import Detection, detect

from longrun_scraper.prescan import declared_charset

_BYTE_ORDER_MARKS: Final = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16le", b"\xfe\xff": "utf-16be"}
_SINGLE_BYTE: Final = re.compile(r"windows-|iso-8859-|koi8-|ibm|mac|x-")
_ASCII: Final = re.compile(r"[\x00-\x7f]+")
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff\x1b]")  # ISO-2022-JP is escapes (0x1B) and ASCII
_META: Final = re.compile(rb"<meta", re.IGNORECASE)
_TLD: Final = re.compile(r"[a-z][a-z0-9-]*")
_SAMPLE: Final = 256 * 1024
_ZEROS_WINDOW: Final = 1024


def decode(body: bytes, header: str | None, host: str = "") -> tuple[str, str]:
    """The text of an HTML page and the name of its charset; `header` is the label in the Content-Type. Never raises.

    Invalid bytes become U+FFFD. The top-level domain of `host` improves the guess.
    """
    name = _charset(body, header, host)
    return _decoded(body, name).removeprefix("\ufeff"), name


def _charset(body: bytes, header: str | None, host: str) -> str:
    for mark, marked in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return marked
    if wide := _utf_16(body):
        return wide
    if header and _name(header) == "utf-8" and _is_utf_8(body):
        return "utf-8"
    said = [name for label in (header, declared_charset(body)) if label and (name := _name(label))]
    if not _NOT_ASCII.search(body):
        return next((name for name in said if not name.startswith("utf-16")), "utf-8")
    # UTF-8 is often declared as latin1, and text in a single-byte charset is never valid UTF-8 by chance.
    if not body.isascii() and _is_utf_8(body) and all(name == "utf-8" or _SINGLE_BYTE.match(name) for name in said):
        return "utf-8"
    if len(said) == 2 and said[0] == said[1] and not said[0].startswith("utf-16"):
        return said[0]  # two equal declarations outweigh the bytes
    candidates = said if body.isascii() else [*said, "utf-8"]
    agreeing = (name for name in candidates if _agrees(body, name))
    return next(agreeing, None) or _guess(body, host)


def _name(label: str) -> str | None:
    encoding = webencodings.lookup(label)
    return encoding.name if encoding else None


def _decoded(body: bytes, name: str) -> str:
    # turbohtml has the codecs of the Encoding Standard; CPython's codecs of the same names lack characters.
    return body.decode("utf-8" if name == "utf-8" else f"whatwg-{name}", "replace")


def _agrees(body: bytes, name: str) -> bool:
    """Whether at least half of the characters beyond ASCII are valid in this charset."""
    if name.startswith("utf-16"):
        return False  # any bytes are valid UTF-16, but UTF-16 markup contains zeros
    sample = _sample(body)
    text = _decoded(sample, name)
    wrong = text.count("\ufffd") - sample.count(b"\xef\xbf\xbd")
    right = len(_ASCII.sub("", text)) - wrong
    return wrong <= right


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"  # the page was truncated within a character
    return True


def _utf_16(body: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark by the zeros beside the ASCII characters of its markup."""
    start = body[:_ZEROS_WINDOW]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if not start or max(even, odd) * 8 < len(start[::2]) or min(even, odd) * 8 > max(even, odd):
        return None
    return "utf-16le" if odd > even else "utf-16be"


def _sample(body: bytes) -> bytes:
    """_SAMPLE bytes from shortly before the first character beyond ASCII."""
    found = _NOT_ASCII.search(body)
    start = max(0, found.start() - 1024) if found else 0
    return body[start : start + _SAMPLE]


def _guess(body: bytes, host: str) -> str:
    tld = host.rpartition(".")[2].lower()
    sample = _META.sub(b"<x-meta", _sample(body))  # their declarations were already checked
    match = detect(sample, Detection(tld=tld if _TLD.fullmatch(tld) else None))
    return (match.encoding or "windows-1252").lower()
