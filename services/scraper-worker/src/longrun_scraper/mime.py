"""The type of a response: its Content-Type as browsers parse it, or else a type sniffed from its bytes.

Sources: Fetch Standard §3.5 "extract a MIME type", MIME Sniffing Standard §4.4 (parsing) and §7.1 (unknown types).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_ESSENCE: Final = 255
"""Characters of a type that are kept (RFC 6838 §4.2 allows 127 on each side)."""

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ESSENCE: Final = re.compile(rf"[\t\n\r ]*({_NAME})/({_NAME})[\t\n\r ]*(?:;|$)")
_PARAMETER: Final = re.compile(rf'[\t\n\r ]*({_NAME})=(?:"((?:[^"\\]|\\.)*)(?:"[^;]*|$)|([^;]*))(?:;|$)|[^;]*(?:;|$)')
_VALUE: Final = re.compile(
    r'(?:[^,"]++|"(?:[^"\\]|\\.)*+(?:"|\\?$))+'
)  # a comma within quotes does not separate values
_SAYS_NOTHING: Final = {"*/*", "unknown/unknown", "application/unknown"}
_SNIFFED: Final = 1445
"""Bytes that are checked: the length of the standard's resource header."""

_HTML: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\x0c\r ]*<(?:!doctype\s+html|!--|/?(?:html|head|body|title|meta|base|link|script|style"
    rb"|noscript|iframe|frameset|h[1-6]|div|span|font|table|ul|ol|dl|pre|form|center|img|main|article|section|header|nav|a|b|br"
    rb"|p)(?=[\t\n\x0c\r />]|$))",
    re.IGNORECASE,
)
_SIGNATURES: Final = {
    rb"[\t\n\x0c\r ]*<\?xml": "text/xml",
    rb"%PDF-": "application/pdf",
    rb"%!PS-Adobe-": "application/postscript",
    rb"GIF8[79]a": "image/gif",
    rb"\x89PNG\r\n\x1a\n": "image/png",
    rb"\xff\xd8\xff": "image/jpeg",
    rb"RIFF....WEBP": "image/webp",
    rb"\x1f\x8b\x08": "application/x-gzip",
    rb"PK\x03\x04": "application/zip",
}
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class MimeType:
    """A MIME type in lower case without its parameters, and the label of its charset, if any."""

    essence: str
    charset: str | None = None


def extract(header: str | None) -> MimeType | None:
    """The last valid type in a Content-Type header with comma-separated values; None if there is none."""
    found = None
    for value in _VALUE.finditer(header or ""):
        mime = _parse(value[0])
        if mime is None or mime.essence in _SAYS_NOTHING:
            continue
        inherited = found.charset if found is not None and found.essence == mime.essence else None
        found = MimeType(mime.essence, mime.charset or inherited)
    return found


def sniff(body: bytes) -> str | None:
    """The type of a response without a valid Content-Type, from its first bytes; None if it is empty."""
    start = body[:_SNIFFED]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or start[:3:2] == b"<h" or start[1:4:2] == b"<h":
        start = start.replace(b"\0", b"")  # UTF-16
        start = start.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    if not start:
        return None
    if _HTML.match(start):
        return "text/html"
    for signature, essence in _SIGNATURES.items():
        if re.match(signature, start, re.DOTALL):
            return essence
    return "application/octet-stream" if is_binary(start) else "text/plain"


def is_binary(body: bytes) -> bool:
    """Whether bytes near the start occur in no text (MIME Sniffing Standard §3, "binary data byte")."""
    return _BINARY.search(body[:_SNIFFED]) is not None


def _parse(value: str) -> MimeType | None:
    essence = _ESSENCE.match(value)
    if essence is None:
        return None
    charset = None
    for parameter in _PARAMETER.finditer(value, essence.end()):
        name, quoted, plain = parameter.groups()
        if name is not None and name.lower() == "charset" and charset is None:
            charset = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip(" \t\r\n'")
    return MimeType(f"{essence[1]}/{essence[2]}".lower()[:MAX_ESSENCE], charset or None)
