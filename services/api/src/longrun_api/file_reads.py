"""Files read for the event loop: the store of files blocks, so it is read in threads of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from jobcore.files import FileReader, FileStore, no_place, open_store

T = TypeVar("T")

THREADS: Final = 16
"""Reads at once: a store that hangs holds up downloads, and nothing else."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The first bytes of what was asked for, and those that follow; close `rest`, which holds the file open."""

    first: bytes
    rest: AsyncGenerator[bytes, None]


class FileReads:
    """Reads files of the store at LONGRUN_FILES, a piece at a time, so that memory does not grow with their size."""

    def __init__(self, place: str | None) -> None:
        self._place = place
        self._limiter: anyio.CapacityLimiter | None = None

    async def open(self, key: UUID, start: int, end: int) -> Pieces:
        """The bytes from `start` to before `end`, once the first of them were read.

        Raises FileBytesMissing and FileStoreUnavailable, as does reading on.
        """
        rest = self._pieces(key, start, end)
        return Pieces(await anext(rest, b""), rest)

    async def _pieces(self, key: UUID, start: int, end: int) -> AsyncGenerator[bytes, None]:
        store, reader = await self._in_thread(partial(self._reader, key))
        try:
            while start < end:
                size = min(store.piece_bytes, end - start)
                piece = await self._in_thread(partial(reader.read, start, size))
                start += len(piece)
                yield piece
        finally:
            reader.close()

    def _reader(self, key: UUID) -> tuple[FileStore, FileReader]:
        store = open_store(self._place)
        if store is None:
            raise no_place()
        return store, store.reader(key)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
