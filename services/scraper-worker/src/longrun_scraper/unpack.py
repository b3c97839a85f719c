"""Bodies that came compressed (Content-Encoding, RFC 9110 §8.4.1), unpacked a bounded piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from longrun_scraper.errors import IncompleteRead, UnreadableBody

ACCEPTED: Final = "gzip, deflate"
"""What we ask for in Accept-Encoding."""
PIECE: Final = 64 * 1024
MAX_CODINGS: Final = 5
"""How many times over a body may be compressed (as curl has it)."""

_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 16 + zlib.MAX_WBITS
UNDONE: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def codings(header: str) -> tuple[list[str], list[str]]:
    """The compressions that a Content-Encoding names, in the order they were applied; and what else it names."""
    names = [name for item in header.split(",") if (name := item.strip().lower()) not in ("", "identity")]
    return [name for name in names if name in UNDONE], [name for name in names if name not in UNDONE]


def unpacked(chunks: Iterable[bytes], applied: list[str]) -> Iterator[bytes]:
    """The body in pieces of at most PIECE bytes, with these compressions undone.

    Raises UnreadableBody for bytes that were never compressed so, IncompleteRead if they end too early.
    """
    if len(applied) > MAX_CODINGS:
        raise UnreadableBody(f"the page is compressed {len(applied)} times over: {MAX_CODINGS} at most")
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
                    return  # what follows the end means nothing
                stream, first = zlib.decompressobj(_window(name, packed)), False
            try:
                piece = stream.decompress(packed, PIECE)
            except zlib.error as error:
                raise UnreadableBody(f"the page cannot be unpacked: it is not {name}, as it says ({error})") from None
            if piece:
                yield piece
            packed = stream.unused_data or stream.unconsumed_tail
            if stream.eof:
                stream = None
            elif not packed and len(piece) < PIECE:
                break
    if stream or (first and packed):
        raise IncompleteRead(f"the page broke off: it is {name} that does not end")


def _window(name: str, start: bytes) -> int:
    """zlib's `wbits`: what is called deflate comes with the header of zlib (RFC 1950), of gzip, or with none."""
    if start.startswith(_MAGIC):
        return _GZIP
    if name == "deflate" and not (start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0):
        return -zlib.MAX_WBITS
    return UNDONE[name]
