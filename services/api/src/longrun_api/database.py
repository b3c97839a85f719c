"""PostgreSQL for the event loop: store functions block, so they run in threads, and no request waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
        with silence_is_absence(self._timeout_s):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


@contextmanager
def silence_is_absence(timeout_s: float) -> Iterator[None]:
    """Raise StoreUnavailable when what is awaited inside takes longer than `timeout_s` seconds."""
    try:
        with anyio.fail_after(timeout_s):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"PostgreSQL did not answer within {timeout_s:g} s") from None
