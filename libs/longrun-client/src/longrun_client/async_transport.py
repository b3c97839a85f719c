"""`Transport` for async code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
import httpx2
from httpx2 import EventSource

from longrun_client.answers import Outcome, refusal, retry_delay_s, value_of
from longrun_client.calls import Call
from longrun_client.cursor import StreamCursor
from longrun_client.downloads import Download
from longrun_client.errors import LongrunError
from longrun_client.exports import Export
from longrun_client.models import Event
from longrun_client.models_files import UploadedFile
from longrun_client.server import Server
from longrun_client.transport import SeqPages, request_of
from longrun_client.uploads import CALL, STORING_S, Upload
from longrun_client.wire import KeysetPage

if TYPE_CHECKING:
    from longrun_client.aio import AioCalls

T = TypeVar("T")


class AsyncTransport:
    """`Transport` for async code. Calls go over aiohttp, unless there is a proxy or trio runs (ADR 38)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx2.AsyncClient(**server.http_options())
        self._aio = _aio(server) if server.is_direct() else None

    async def call(self, call: Call[T]) -> T:
        """Send the call: see `Transport.call`."""
        attempt = 1
        while True:
            outcome = await self._try(call)
            delay = retry_delay_s(outcome, attempt)
            if delay is None:
                return value_of(call, outcome, self._server.shown)
            await anyio.sleep(delay)
            attempt += 1

    async def walk(self, page: Callable[[str | None], Call[KeysetPage[T]]]) -> AsyncGenerator[T, None]:
        """Iterate over the items of all pages: see `Transport.walk`."""
        cursor: str | None = None
        while True:
            found = await self.call(page(cursor))
            for item in found.items:
                yield item
            if (cursor := found.next) is None:
                return

    async def walk_by_seq(self, page: SeqPages[T], task_id: str, after: int) -> AsyncGenerator[T, None]:
        """Iterate over a task's items with a seq larger than `after`: see `Transport.walk_by_seq`."""
        while (found := await self.call(page(task_id, after))).items:
            for item in found.items:
                yield item
            after = found.next_after

    async def events(self, path: str, cursor: StreamCursor) -> AsyncGenerator[Event, None]:
        """Iterate over the events of one connection: see `Transport.events`."""
        async with self._http.stream(
            "GET", path, headers=cursor.headers(), timeout=self._server.stream_timeout()
        ) as response:
            if not response.is_success:
                await response.aread()
                raise refusal(response, self._server.shown)
            cursor.opened(response)
            if cursor.ended:
                return
            async for sse in EventSource(response, max_event_size=None):
                if event := cursor.take(sse):
                    yield event
                if cursor.ended:
                    return

    async def lines(self, export: Export[T]) -> AsyncGenerator[T, None]:
        """Iterate over the values of an export: see `Transport.lines`."""
        while True:
            try:
                async with self._http.stream(
                    "GET", export.path, params=export.params, timeout=self._server.stream_timeout()
                ) as response:
                    if not response.is_success:
                        await response.aread()
                        raise refusal(response, self._server.shown)
                    export.opened(response)
                    async for piece in response.aiter_bytes():
                        for value in export.take(piece):
                            yield value
                return
            except (httpx2.TransportError, LongrunError) as error:
                delay = export.broke(error)
            await anyio.sleep(delay)

    async def download(self, path: str, download: Download) -> Path:
        """Download the file at this path: see `Transport.download`."""
        with download:
            while True:
                try:
                    async with self._http.stream("GET", path, headers=download.headers()) as response:
                        if not response.is_success:
                            await response.aread()
                            raise refusal(response, self._server.shown)
                        download.begin(response)
                        async for piece in response.aiter_bytes():
                            await anyio.to_thread.run_sync(download.write, piece)
                    return download.finish()
                except (httpx2.TransportError, LongrunError) as error:
                    delay = download.broke(error, self._server.shown)
                await anyio.sleep(delay)

    async def upload(self, upload: Upload) -> UploadedFile:
        """Upload a file: see `Transport.upload`."""
        attempt = 1
        with upload:
            while True:
                outcome = await self._try_upload(upload)
                delay = retry_delay_s(outcome, attempt) if upload.can_repeat else None
                if delay is None:
                    return value_of(CALL, outcome, self._server.shown)
                await anyio.sleep(delay)
                attempt += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._aio is not None:
            await self._aio.close()

    async def _try_upload(self, upload: Upload) -> Outcome:
        try:
            return await self._http.request(
                CALL.method,
                CALL.path,
                content=upload.pieces_async(),
                headers=upload.headers(),
                timeout=self._server.timeout(STORING_S),
            )
        except httpx2.TransportError as error:
            return error

    async def _try(self, call: Call[Any]) -> Outcome:
        try:
            if self._aio is not None and _on_asyncio():
                return await self._aio.send(call)
            return await self._http.request(**request_of(call, self._server))
        except httpx2.TransportError as error:
            return error


def _aio(server: Server) -> AioCalls:
    # aiohttp takes a while to load, and the blocking client and the command do not need it
    from longrun_client.aio import AioCalls

    return AioCalls(server)


def _on_asyncio() -> bool:
    """Whether the running event loop is one of asyncio, rather than trio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
