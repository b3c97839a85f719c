"""PostgreSQL for the event loop: store functions block, so they run in threads, each with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from jobcore.errors import StoreUnavailable
from jobcore.store.database import Database
from jobcore.telemetry import logs

log = logs.get(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class AsyncDatabase:
    """Calls store functions in at most `threads` threads, each within `timeout_s` seconds."""

    def __init__(self, database: Database, threads: int, timeout_s: float) -> None:
        self._database = database
        self._threads = threads
        self._timeout_s = timeout_s
        self._limiter: anyio.CapacityLimiter | None = None
        self._outage = logs.Outage(log, "requests get 503: the database is unavailable", "requests succeed again")

    async def call(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a store function; raises StoreUnavailable if PostgreSQL is down or does not answer.

        The thread and the statement in PostgreSQL have the same deadline as the request: a request that gets 503 leaves
        behind neither of them, nor a busy connection.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._threads)
        deadline = time.monotonic() + self._timeout_s
        work = partial(self._database.call_until, deadline, function, *args, **kwargs)
        try:
            async with unavailable_after(self._timeout_s):
                result = await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except StoreUnavailable as error:
            self._outage.begin(error)
            raise
        self._outage.end()
        return result


class unavailable_after:
    """Raise StoreUnavailable if the block takes longer than `timeout_s` seconds.

    This is a class because it is on the path of every POST, and a generator as a context manager costs several times
    as much.
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
