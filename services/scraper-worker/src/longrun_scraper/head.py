"""Clean the head of an HTTP response, as browsers do, before http.client parses it.

Interim responses (1xx, RFC 9110 §15.2) are skipped. Lines that are not header fields are dropped; http.client would
take everything after them for the body. NUL and bare CR become spaces (RFC 9110 §5.5). The status line is parsed as in
Chromium (`HttpStreamParser`, `HttpResponseHeaders::ParseStatusLine`). More than the 100 fields of http.client are
accepted, up to MAX_HEAD bytes in total.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any, Final

from longrun_scraper import unpack
from longrun_scraper.chunked import Unchunked

MAX_HEAD: Final = 256 * 1024
"""Bytes of status line and header fields (Chromium's limit)."""
_MAX_INTERIM: Final = 100
_PIECE: Final = 60_000
"""Bytes that are passed to http.client at once; it accepts at most 65,536."""
_LONGEST_STATUS: Final = 4096
_MAX_BLANK: Final = 4
_STATUS: Final = re.compile(rb".{0,4}?(?:http|icy)(/1\.0)?[^ \t]*[ \t]*([0-9]*)[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
_NO_TEXT: Final = bytes.maketrans(b"\0\r", b"  ")
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9][0-9] ")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=[ \t]*:)")


class CleanResponse(HTTPResponse):
    """A response whose head is cleaned before http.client parses it."""

    def begin(self, **options: Any) -> None:
        """Read the status line and the header fields; called by http.client."""
        if self.headers is not None:
            return
        body = self.fp
        self.fp = _Head(clean_head(body.readline), body.close)
        super().begin(**options)
        if self.fp is not None:
            self.fp = self._unchunked(body)

    def _unchunked(self, body: Any) -> Any:
        """The body without chunks. Other transfer codings are passed on as Content-Encoding."""
        codings = [name.strip().lower() for name in (self.headers.get("transfer-encoding") or "").split(",")]
        if "chunked" not in codings:
            return body
        for coding in codings:
            if coding in unpack.UNDONE:
                self.headers["Content-Encoding"] = coding
        self.chunked, self.length = False, None
        return Unchunked(body)


class _Head:
    """The file object from which http.client reads the head; closing it closes the connection's file."""

    def __init__(self, pieces: list[bytes], close: Callable[[], None]) -> None:
        self._pieces = iter(pieces)
        self.close = close

    def readline(self, limit: int = -1) -> bytes:
        return next(self._pieces, b"")

    def flush(self) -> None:
        """Do nothing: this file is only read."""


def clean_head(readline: Callable[[int], bytes]) -> list[bytes]:
    """The head of the final response: its status line, its fields, and an empty line.

    The fields are joined to a few pieces of many lines, because http.client counts pieces. Raises HTTPException if the
    head is too large.
    """
    for _ in range(_MAX_INTERIM):
        status = _status_line(_first(readline))
        if not status.startswith(b"HTTP/"):
            return [status]
        fields = _fields(_lines(readline))
        if not _INTERIM.match(status):
            return [status, *_pieces(fields), b"\r\n"]
    raise HTTPException(f"more than {_MAX_INTERIM} interim responses")


def _first(readline: Callable[[int], bytes]) -> bytes:
    """The first line that is not empty, normally the status line."""
    line = readline(_LONGEST_STATUS)
    for _ in range(_MAX_BLANK):
        if line in (b"\r\n", b"\n"):
            line = readline(_LONGEST_STATUS)
    return line and _spaced(line)


def _lines(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines up to the empty line that ends the head."""
    lines: list[bytes] = []
    size = 0
    while (line := readline(MAX_HEAD)).strip(b"\r\n"):
        lines.append(_spaced(line))
        size += len(line)
        if size > MAX_HEAD:
            raise HTTPException(f"more than {MAX_HEAD} bytes of header fields")
    if not line:
        raise RemoteDisconnected("the connection was closed within the header fields")
    return lines


def _spaced(line: bytes) -> bytes:
    return line.rstrip(b"\r\n").translate(_NO_TEXT) + b"\r\n"


def _status_line(line: bytes) -> bytes:
    """The status line in the form that http.client accepts; unchanged if it is not a status line."""
    found = _STATUS.match(line)
    if found is None:
        return line
    old, code, reason = found.groups()
    return b"HTTP/1.%d %s %s\r\n" % (0 if old else 1, code or b"200", reason.strip())


def _fields(lines: list[bytes]) -> list[bytes]:
    """The header fields with their continuation lines (RFC 9112 §5.2), without space before the colon."""
    fields: list[bytes] = []
    keep = False
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            fields += [line] if keep else []
            continue
        name = _FIELD.match(line)
        keep = name is not None
        if name is not None:
            fields.append(name[0] + line[name.end() :].lstrip(b" \t"))
    return fields


def _pieces(fields: list[bytes]) -> list[bytes]:
    """The fields in a few pieces of about the same size, so that no piece is an empty line."""
    head = b"".join(fields)
    count = max(1, -(-len(head) // _PIECE))
    size = -(-len(head) // count)
    return [head[at : at + size] for at in range(0, len(head), size or 1)]
