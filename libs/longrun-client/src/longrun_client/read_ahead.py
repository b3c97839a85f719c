"""`submit_many` reads the next chunk of tasks while the one before it is on its way.

`chunks` in both classes yields None after each task, so that reading can end as soon as an answer is there: tasks that
come slowly do not hold back those that are accepted already.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

import anyio
import anyio.lowlevel

from longrun_client.chunks import Chunk

T = TypeVar("T")
TURN: Final = 50
"""How many tasks async code reads before other tasks of the event loop have a turn."""


def in_background(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread of its own, in the context of the caller.

    The thread is a daemon: an interrupted caller, or the end of the program, does not wait for an answer.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="longrun-submit", daemon=True).start()
    return future


class ReadAhead:
    """The chunks of a submission, of which at most one is read before it is wanted."""

    def __init__(self, chunks: Iterator[Chunk | None]) -> None:
        self._chunks = chunks
        self._next: Chunk | None = None
        self._error: Exception | None = None

    def next(self) -> Chunk | None:
        """The next chunk, None after the last one; raises what reading it has raised."""
        if self._error:
            raise self._error
        chunk = self._next or next(filter(None, self._chunks), None)
        self._next = None
        return chunk

    def read_until(self, answer: Future[T]) -> T:
        """Read up to one chunk until the answer is there, and return it. An error of the reading waits for `next`."""
        try:
            while not (self._next or self._error or answer.done()):
                self._next = next(self._chunks)
        except StopIteration:
            pass
        except Exception as error:
            self._error = error
        return answer.result()


class AsyncReadAhead:
    """`ReadAhead` for async code."""

    def __init__(self, chunks: AsyncIterator[Chunk | None]) -> None:
        self._chunks = chunks
        self._next: Chunk | None = None
        self._error: Exception | None = None

    async def next(self) -> Chunk | None:
        """The next chunk: see `ReadAhead.next`."""
        if self._error:
            raise self._error
        while self._next is None:
            try:
                self._next = await anext(self._chunks)
            except StopAsyncIteration:
                return None
        chunk, self._next = self._next, None
        return chunk

    async def read_until(self, answer: Callable[[], Awaitable[T]]) -> T:
        """Start `answer`, and read up to one chunk until it ends: see `ReadAhead.read_until`."""
        flight = _Flight(answer)
        async with anyio.create_task_group() as group:
            group.start_soon(flight.run)
            await self._read_during(flight)
        return flight.result.result()

    async def _read_during(self, flight: _Flight[T]) -> None:
        read = 0
        try:
            while not (self._next or self._error):
                if read % TURN == 0:
                    await anyio.lowlevel.checkpoint()
                if flight.result.done():
                    break
                self._next = await anext(self._chunks)
                read += 1
        except StopAsyncIteration:
            pass
        except Exception as error:
            self._error = error


class _Flight(Generic[T]):
    """A call on its way, and its result; an error is a result, so that it reaches the caller without a group around."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call
        self.result: Future[T] = Future()

    async def run(self) -> None:
        try:
            self.result.set_result(await self._call())
        except Exception as error:
            self.result.set_exception(error)
