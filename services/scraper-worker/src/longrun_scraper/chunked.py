"""Decode chunked bodies (RFC 9112 §7.1) as Chromium does (`HttpChunkedDecoder`).

http.client accepts sizes such as `0x5` and `1_0`, and refuses a bare LF as the end of a line.
"""

from __future__ import annotations

import re
from typing import IO, Final

from longrun_scraper.errors import IncompleteRead

_LONGEST_LINE: Final = 65_536
_MAX_TRAILERS: Final = 1000
_SIZE: Final = re.compile(rb"0*([0-9a-f]{1,16})[ \t]*(?:;|[\r\n]|$)", re.IGNORECASE)


class Unchunked:
    """A file object that decodes a chunked body; http.client reads from it.

    Raises IncompleteRead if the body ends too early or a chunk is invalid.
    """

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._left: int | None = 0
        self.close = body.close

    def read1(self, limit: int = -1) -> bytes:
        """Read up to `limit` bytes of one chunk; empty at the end."""
        if self._left == 0:
            self._left = self._size() or None
            if self._left is None:
                self._skip_trailers()
        if self._left is None:
            return b""
        piece = self._body.read1(min(self._left, limit) if limit > 0 else self._left)  # type: ignore[attr-defined]
        if not piece:
            raise IncompleteRead("the page is incomplete: the connection broke")
        self._left -= len(piece)
        if self._left == 0:
            self._end_chunk()
        return bytes(piece)

    def flush(self) -> None:
        """Do nothing: this file is only read."""

    def _size(self) -> int:
        line = self._body.readline(_LONGEST_LINE)
        size = _SIZE.match(line)
        whole = line.endswith(b"\n")
        if size is None or (not whole and len(line) == _LONGEST_LINE):
            raise _incomplete(f": {line[:50]!r} is not the size of a chunk" if line else "")
        if not whole and int(size[1], 16):  # nothing can be missing after the last chunk
            raise _incomplete()
        return int(size[1], 16)

    def _end_chunk(self) -> None:
        line = self._body.readline(2)
        if line.strip(b"\r\n") or not line:
            raise _incomplete(": a chunk is longer than its size" if line else "")

    def _skip_trailers(self) -> None:
        for _ in range(_MAX_TRAILERS):
            if not self._body.readline(_LONGEST_LINE).strip(b"\r\n"):
                return


def _incomplete(why: str = "") -> IncompleteRead:
    return IncompleteRead(f"the page is incomplete{why or ': the connection broke'}")
