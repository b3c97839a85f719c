"""Files that clients upload: their bytes go to the store of files as they arrive, so that memory does not grow."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread
from fastapi import Request
from uuid_utils.compat import uuid7
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from jobcore.errors import FileStoreUnavailable, StoreUnavailable
from jobcore.files import FileStore, FileWriter, no_place, open_store
from jobcore.models import StagedFile
from jobcore.store import input_files
from jobcore.telemetry import logs
from longrun_api.connection import BoundedConnection
from longrun_api.connection_errors import RequestTimeout
from longrun_api.database import AsyncDatabase
from longrun_api.problems import BodyTooLarge, HttpError, ServerBusy

T = TypeVar("T")

AT_ONCE: Final = 16
"""Uploads at once, each with a thread and, for S3, some megabytes of memory; clients send further ones again."""

log = logs.get(__name__)


class DigestMismatch(HttpError):
    """The bytes that arrived are not those of which the client sent a digest."""

    status = 400
    slug = "digest-mismatch"
    title = "The body does not have the digest in Content-Digest"


class Uploads:
    """Stages files: `max_bytes` is the size that one may have, `keep_s` how long it waits for a submission.

    `place` is LONGRUN_FILES.
    """

    def __init__(self, database: AsyncDatabase, place: str | None, *, max_bytes: int, keep_s: float) -> None:
        self._database = database
        self._place = place
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._limiter: anyio.CapacityLimiter | None = None

    async def stage(
        self,
        source: AsyncIterator[bytes],
        media_type: str,
        owner: str | None,
        *,
        size: int | None = None,
        digest: bytes | None = None,
    ) -> StagedFile:
        """Store the bytes of `source` durably; `size` and `digest` (SHA-256) are those that the client announced.

        Raises BodyTooLarge, DigestMismatch, RequestTimeout, ServerBusy, FileStoreUnavailable and StoreUnavailable, and
        what `source` raises. Then nothing of the file is left, or it is deleted soon.
        """
        if size is not None and size > self._max_bytes:
            raise self._too_large()
        store = open_store(self._place)
        if store is None:
            raise no_place()
        if self._turns.locked():
            raise ServerBusy(f"{AT_ONCE} files are being uploaded to this process at once")
        async with self._turns, self._begun(owner, media_type) as file_id:
            try:
                async with asyncio.timeout(self._keep_s):
                    return await self._store(store, file_id, source, size, digest)
            except TimeoutError:
                raise RequestTimeout(f"an upload may take {self._keep_s:g} s (LONGRUN_STAGED_FILES_S)") from None
            except FileStoreUnavailable as error:
                log.error("cannot store an upload", file=str(file_id), error=str(error))
                raise FileStoreUnavailable("this API cannot write to its LONGRUN_FILES now; its log says why") from None

    async def digest(self, source: AsyncIterator[bytes]) -> str:
        """The SHA-256 of a file that is not stored, in hex; raises BodyTooLarge, and what `source` raises."""
        received, computed = 0, hashlib.sha256()
        async for piece in source:
            received += len(piece)
            if received > self._max_bytes:
                raise self._too_large()
            computed.update(piece)
        return computed.hexdigest()

    async def discard(self, ids: list[UUID], owner: str | None) -> None:
        """Have those of these files deleted that no task has; without PostgreSQL they expire instead."""
        if ids:
            with anyio.CancelScope(shield=True), suppress(StoreUnavailable):
                await self._database.call(input_files.discard, ids, owner)

    @asynccontextmanager
    async def _begun(self, owner: str | None, media_type: str) -> AsyncIterator[UUID]:
        """The id of a new row, which is discarded if the block raises."""
        file_id = uuid7()
        await self._database.call(input_files.begin, file_id, owner, media_type, self._keep_s)
        try:
            yield file_id
        except BaseException:
            await self.discard([file_id], owner)
            raise

    async def _store(
        self, store: FileStore, file_id: UUID, source: AsyncIterator[bytes], size: int | None, digest: bytes | None
    ) -> StagedFile:
        received, computed = 0, hashlib.sha256()
        async with self._writer(store, file_id, size) as writer:
            async for piece in _gathered(source, store.piece_bytes):
                received += len(piece)
                if received > self._max_bytes:
                    raise self._too_large()
                await self._in_thread(partial(_write, piece, computed, writer))
            if digest not in (None, computed.digest()):
                raise DigestMismatch(f"the SHA-256 of the {received:,} bytes that arrived is {computed.hexdigest()}")
        finish = partial(input_files.finish, size=received, sha256=computed.hexdigest(), keep_s=self._keep_s)
        staged = await self._database.call(finish, file_id)
        if staged is None:
            raise TimeoutError
        return staged

    @asynccontextmanager
    async def _writer(self, store: FileStore, file_id: UUID, size: int | None) -> AsyncIterator[FileWriter]:
        """`FileStore.writer`, whose calls block."""
        writing = store.writer(file_id, self._max_bytes if size is None else size)
        writer = await self._in_thread(writing.__enter__)
        try:
            yield writer
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._in_thread(partial(writing.__exit__, type(error), error, error.__traceback__))
            raise
        await self._in_thread(partial(writing.__exit__, None, None, None))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(AT_ONCE)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"a file may have {self._max_bytes:,} bytes (LONGRUN_MAX_UPLOAD_BYTES)")


async def _gathered(source: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in pieces of at least `size`, but for the last one: each costs a switch of threads."""
    waiting = bytearray()
    async for piece in source:
        waiting += piece
        if len(waiting) >= size:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _write(piece: bytes, digest: hashlib._Hash, writer: FileWriter) -> None:
    digest.update(piece)
    writer.write(piece)


def take_upload(request: Request) -> None:
    """Let the body of the request be of any size, because it is read as it arrives.

    ASGI cannot express this, so the connection is taken from uvicorn's request, of which `receive` is a method.
    """
    cycle = getattr(request.receive, "__self__", None)
    connection = cycle.transport.get_protocol() if isinstance(cycle, RequestResponseCycle) else None
    if isinstance(connection, BoundedConnection) and connection.cycle is cycle:
        connection.take_upload()
