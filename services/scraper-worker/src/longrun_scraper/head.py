"""The head of an HTTP answer as browsers take it, before http.client reads it.

Interim answers (1xx, RFC 9110 §15.2) are passed over; lines that are no header fields are dropped, where http.client
would take what follows for the body; and there may be more than its 100 fields, up to MAX_HEAD bytes in all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any, Final

MAX_HEAD: Final = 256 * 1024
"""Bytes of status line and header fields (Chromium's limit)."""
_MAX_INTERIM: Final = 100
_MAX_LINE: Final = 65_536
_INTERIM: Final = re.compile(rb"HTTP/1\.[0-9] 1(?!01)[0-9][0-9](?:\s|$)")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=[ \t]*:)")


class Answer(HTTPResponse):
    """An answer whose head is cleaned before it is read."""

    def begin(self, **options: Any) -> None:
        """Read status line and header fields; http.client's connection calls it."""
        if self.headers is not None:
            return
        body = self.fp
        self.fp = _Head(clean_head(body.readline), body.close)
        super().begin(**options)
        if self.fp is not None:
            self.fp = body


class _Head:
    """What http.client needs of a file to read a head from; closing it closes the connection's."""

    def __init__(self, pieces: list[bytes], close: Callable[[], None]) -> None:
        self._pieces = iter(pieces)
        self.close = close

    def readline(self, limit: int = -1) -> bytes:
        return next(self._pieces, b"")

    def flush(self) -> None:
        """Nothing is written."""


def clean_head(readline: Callable[[int], bytes]) -> list[bytes]:
    """The head of the final answer: its status line, its fields, and the empty line that ends it.

    Fields come in few pieces, each of many lines, because http.client counts pieces. Raises HTTPException if the head
    is too large.
    """
    for _ in range(_MAX_INTERIM):
        status, *fields = _lines(readline)
        if not _INTERIM.match(status):
            return [status, *_pieces(_fields(fields)), b"\r\n"] if status else [b""]
    raise HTTPException(f"more than {_MAX_INTERIM} interim answers")


def _lines(readline: Callable[[int], bytes]) -> list[bytes]:
    """The lines of one head, without the empty one that ends it."""
    lines = [readline(_MAX_LINE)]
    size = len(lines[0])
    while lines[-1].strip(b"\r\n"):
        lines.append(readline(_MAX_LINE))
        size += len(lines[-1])
        if size > MAX_HEAD or len(lines[-1]) == _MAX_LINE:
            raise HTTPException(f"more than {MAX_HEAD} bytes of header fields, or more than {_MAX_LINE} of one")
        if not lines[-1]:
            raise RemoteDisconnected("the connection was closed within the header fields")
    return lines if len(lines) == 1 else lines[:-1]


def _fields(lines: list[bytes]) -> list[bytes]:
    """What are header fields, with the lines that continue them (RFC 9112 §5.2), and no space before the colon."""
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
    pieces = [b""]
    for field in fields:
        if len(pieces[-1]) + len(field) > _MAX_LINE:
            pieces.append(b"")
        pieces[-1] += field
    return pieces if pieces[0] else pieces[1:]
