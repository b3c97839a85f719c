"""PostgreSQL for the event loop: store functions block, so they run in threads, and no request waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from jobcore.errors import StoreUnavailable
from jobcore.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")


class AsyncDatabase:
    """Calls store functions in threads, as many at once as the pool has connections, each within `timeout_s`."""

    def __init__(self, database: Database, threads: int, timeout_s: float) -> None:
        self._database = database
        self._threads = threads
        self._timeout_s = timeout_s
        self._limiter: anyio.CapacityLimiter | None = None

    async def call(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function; StoreUnavailable if PostgreSQL is away or silent.

        A frozen server keeps its sockets open and no timeout of libpq ends the wait: the thread is left behind then,
        and the pool bounds how many there can be.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        work = partial(self._database.call, function, *args, **kwargs)
        async with silence_is_absence(self._timeout_s):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


class silence_is_absence:
    """Raise StoreUnavailable when what is awaited inside takes longer than `timeout_s` seconds.

    A class, because every POST passes here and a generator's context manager costs several times as much.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise StoreUnavailable(f"PostgreSQL did not answer within {self._timeout_s:g} s") from None
