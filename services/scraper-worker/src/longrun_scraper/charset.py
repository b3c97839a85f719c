"""Which characters the bytes of a page mean, believing what is declared only as far as the bytes agree.

    byte order mark ▸ Content-Type header ▸ <meta> ▸ UTF-8 ▸ a guess by language ▸ windows-1252

Labels and names are those of the WHATWG Encoding Standard ("latin1" means windows-1252).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import webencodings
from bs4.dammit import EncodingDetector
from charset_normalizer import from_bytes
from webencodings import Encoding

_BYTE_ORDER_MARKS: Final = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16le", b"\xfe\xff": "utf-16be"}
_SINGLE_BYTE: Final = re.compile(r"windows-|iso-8859-|koi8-|ibm|mac|x-mac")
_ASCII: Final = re.compile(r"[\x00-\x7f]+")
# One a script: among those of one script a guess is a coin toss, and most pages use these.
_GUESSES: Final = {
    "cp1252": "windows-1252",
    "cp1251": "windows-1251",
    "koi8_r": "koi8-r",
    "cp932": "shift_jis",
    "euc_jp": "euc-jp",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp949": "euc-kr",
    "cp1253": "windows-1253",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp874": "windows-874",
}
_META_WITHIN: Final = 4096
_SAMPLE: Final = 64 * 1024


def decode(body: bytes, declared: str | None) -> tuple[str, str]:
    """The text of an HTML page and the name of its charset; `declared` is the header's. Never raises."""
    for encoding in _candidates(body, declared):
        text = _decoded(body, encoding)
        if text is not None:
            return text.removeprefix("\ufeff"), encoding.name
    return body.decode("windows-1252", "replace"), "windows-1252"


def _candidates(body: bytes, declared: str | None) -> Iterator[Encoding]:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            yield _known(name)
    meta = EncodingDetector.find_declared_encoding(body[:_META_WITHIN], is_html=True)
    said = [encoding for label in (declared, meta) if label and (encoding := webencodings.lookup(label))]
    # UTF-8 served as latin1 is everywhere, and text in a single-byte charset never looks like UTF-8 by chance.
    if any(_SINGLE_BYTE.match(encoding.name) for encoding in said) and _is_utf8(body):
        yield webencodings.UTF8
    yield from said
    yield webencodings.UTF8
    guess = from_bytes(_sample(body), cp_isolation=list(_GUESSES)).best()
    if guess is not None and guess.encoding in _GUESSES:
        yield _known(_GUESSES[guess.encoding])


def _decoded(body: bytes, encoding: Encoding) -> str | None:
    """The text, if the bytes do not contradict the encoding: a stray byte in a long page does not."""
    if encoding.name.startswith("utf-16") and b"\0" not in body:
        return None  # any bytes "are" UTF-16, but its markup has a zero in every other byte
    try:
        return encoding.codec_info.decode(body, "strict")[0]
    except UnicodeError:
        text = encoding.codec_info.decode(body, "replace")[0]
    wrong = text.count("\ufffd")
    right = len(_ASCII.sub("", text)) - wrong
    return text if wrong * 20 <= right else None


def _known(name: str) -> Encoding:
    encoding = webencodings.lookup(name)
    assert encoding is not None, name
    return encoding


def _is_utf8(body: bytes) -> bool:
    try:
        return not body.isascii() and bool(body.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _sample(body: bytes) -> bytes:
    """The beginning, ending with a tag: a cut through a character would speak against the right charset."""
    start = body[:_SAMPLE]
    return start[: start.rfind(b">") + 1] or start
