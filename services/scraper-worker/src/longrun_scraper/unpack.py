"""Decompress bodies (Content-Encoding, RFC 9110 §8.4.1) in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from longrun_scraper.errors import IncompleteRead, UnreadableBody

ACCEPTED: Final = "gzip, deflate"
"""The value of Accept-Encoding."""
PIECE: Final = 64 * 1024
MAX_CODINGS: Final = 5
"""Maximum number of codings of a body (as in curl)."""

_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS
UNDONE: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def codings(header: str) -> tuple[list[str], list[str]]:
    """The supported codings in a Content-Encoding, in the order in which they were applied, and the other ones."""
    names = [name for item in header.split(",") if (name := item.strip().lower()) not in ("", "identity")]
    return [name for name in names if name in UNDONE], [name for name in names if name not in UNDONE]


def unpacked(chunks: Iterable[bytes], applied: list[str]) -> Iterator[bytes]:
    """Yield the decompressed body in pieces of at most PIECE bytes.

    Raises UnreadableBody for bytes that are not compressed in this way, and IncompleteRead if they end too early.
    """
    if len(applied) > MAX_CODINGS:
        raise UnreadableBody(f"the page is compressed {len(applied)} times; at most {MAX_CODINGS} are supported")
    for name in reversed(applied):
        chunks = _inflated(chunks, name)
    yield from chunks


def _inflated(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    stream = None
    first, packed = True, b""
    for chunk in chunks:
        packed += chunk
        while stream or len(packed) >= len(_MAGIC):
            if stream is None:
                if not first and not packed.startswith(_MAGIC):
                    return  # ignore data after the end
                stream, first = zlib.decompressobj(_window(name, packed)), False
            try:
                piece = stream.decompress(packed, PIECE)
            except zlib.error as error:
                raise UnreadableBody(
                    f"cannot decompress the page: it is not {name}, as its Content-Encoding says ({error})"
                ) from None
            if piece:
                yield piece
            packed = stream.unused_data or stream.unconsumed_tail
            if stream.eof:
                stream = None
            elif not packed and len(piece) < PIECE:
                break
    if stream or (first and packed):
        raise IncompleteRead(f"the page is incomplete: its {name} data does not end")


def _window(name: str, start: bytes) -> int:
    """The `wbits` for zlib: data called deflate has a zlib header (RFC 1950), a gzip header or none."""
    if start.startswith(_MAGIC):
        return _GZIP
    if name == "deflate" and not (start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0):
        return -zlib.MAX_WBITS
    return UNDONE[name]
