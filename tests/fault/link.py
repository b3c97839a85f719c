"""A network link that a test can break: a TCP forwarder on loopback that holds, delays or cuts what passes.

A held link is a partition whose packets come late instead of never: both ends stay connected and hear nothing, which
no timeout of TCP itself ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

CHUNK_BYTES = 65536
STARTED_S = 10.0
T = TypeVar("T")


class Link:
    """Forwards a free port to the server of `url` from now on; `self.url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._loop = asyncio.new_event_loop()
        self._requests, self._replies = asyncio.Event(), asyncio.Event()
        self._requests.set()
        self._replies.set()
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._muted: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, name="link", daemon=True).start()
        self._server: asyncio.Server = self._do(asyncio.start_server(self._join, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        user_info, separator, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{user_info}{separator}127.0.0.1:{self.port}").geturl()

    @contextmanager
    def held(self, *, replies_only: bool = False) -> Iterator[None]:
        """Let nothing pass (or no reply) inside the block; what was sent meanwhile arrives afterwards."""
        gates = [self._replies] if replies_only else [self._replies, self._requests]
        self._tell(*(gate.clear for gate in gates))
        try:
            yield
        finally:
            self._tell(*(gate.set for gate in gates))

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Let nothing pass any more on the connections that are open now, and keep them open; new ones are whole.

        What they send is read and lost, as by a proxy that forgot where it leads.
        """
        self._do(self._mute())
        try:
            yield
        finally:
            self.cut()

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Everything takes so many seconds longer, each way, inside the block."""
        self._delay_s = delay_s
        try:
            yield
        finally:
            self._delay_s = 0.0

    def cut(self) -> None:
        """Reset every connection (RST); new ones are welcome."""
        self._tell(*(writer.transport.abort for writer in list(self._writers)))

    def lead_to(self, url: str) -> None:
        """Lead new connections to another server, and cut those to the old one."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self.cut()

    def close(self) -> None:
        """Cut everything and listen no more."""
        self._do(self._end())
        self._tell(self._loop.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _mute(self) -> None:
        self._muted |= self._writers

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(asyncio.CancelledError):  # asyncio calls the end of a cancelled connection an error
            await self._requests.wait()
            try:
                there_reader, there_writer = await asyncio.open_connection(*self._target)
            except OSError:
                writer.transport.abort()
                self._writers.discard(writer)
                return
            self._writers.add(there_writer)
            await asyncio.gather(
                self._pump(reader, there_writer, self._requests), self._pump(there_reader, writer, self._replies)
            )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await gate.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if sink in self._muted:
                    continue
                sink.write(data)
                await sink.drain()
        await gate.wait()
        with suppress(OSError):
            sink.close()
        self._writers.discard(sink)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(STARTED_S)

    def _tell(self, *calls: Any) -> None:
        for call in calls:
            self._loop.call_soon_threadsafe(call)
