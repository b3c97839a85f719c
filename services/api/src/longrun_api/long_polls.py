"""Requests that wait for a task: they are answered when it has news, when their seconds are over, or at a shutdown.

    subscribe ─▶ read how far the job is ─▶ live events ─┬─▶ news
                     ▲                                    │
                     └── the check found more events ─────┘

A waiting request costs a subscription and two reads of PostgreSQL, and holds no connection to it. It hangs on the same
live events as a stream, and the same check finds news whose live event was lost (`longrun_api.stream_check`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from jobcore.broker.live_events import LiveEvents, Subscription
from jobcore.errors import FieldError, InvalidInput, StoreUnavailable
from jobcore.store import event_pages
from longrun_api import half_closed
from longrun_api.database import AsyncDatabase, unavailable_after
from longrun_api.shutdown import Shutdown

T = TypeVar("T")
Until = Literal["ended", "stopped"]
"""What a request waits for: the end of a job; or that also no run of it is under way any more."""

READS: Final = 8
"""How many answers are read at once: many requests may be waiting for the same moment."""
READ_S: Final = 20.0
"""Seconds after which one of them is given up; a shutdown ends earlier."""


class LongPolls:
    """Waits for jobs; `max_s` is the longest wait in seconds."""

    def __init__(self, live_events: LiveEvents, database: AsyncDatabase, shutdown: Shutdown, max_s: int) -> None:
        self.max_s = max_s
        self._live_events = live_events
        self._database = database
        self._shutdown = shutdown
        self._reads = asyncio.Semaphore(READS)

    async def wait(
        self, request: Request, job_id: UUID, seconds: float, after: int | None = None, until: Until = "ended"
    ) -> None:
        """Return once the job has ended, or has an event after the seq `after`; or after `seconds`, or at a shutdown.

        `until="stopped"`: a job that is cancelled has ended once its run has stopped. It returns at once if there is no
        such job. Raises ClientDisconnect when the client leaves, StoreUnavailable if PostgreSQL is down at the start,
        and InvalidInput if the job has not reached `after`.
        """
        with anyio.move_on_after(seconds), self._shutdown.interrupts(), _while_connected(request):
            await self._until_news(job_id, after, until)

    async def read(self, function: Callable[..., T], *args: Any) -> T:
        """Call a store function for the answer of a request that waited."""
        async with unavailable_after(READ_S), self._reads:
            return await self._database.call(function, *args)

    async def _until_news(self, job_id: UUID, after: int | None, until: Until) -> None:
        async with self._live_events.subscribe(job_id) as subscription:
            end = await self._database.call(event_pages.end, job_id)
            if end is not None and after is not None and after > end.seq:
                raise InvalidInput(FieldError("after", f"must not exceed {end.seq}, the seq of the task's last event"))
            while not _is_news(end, after, until):
                if end is not None:
                    subscription.cursor = max(subscription.cursor, end.seq)
                    subscription.awaits_stop = end.stopping
                if await _hears_news(subscription, after, until):
                    return
                subscription.behind = False
                with suppress(StoreUnavailable):  # the check finds the same events again
                    end = await self._database.call(event_pages.end, job_id)


def _is_news(end: event_pages.End | None, after: int | None, until: Until) -> bool:
    if end is None or (after is not None and end.seq > after):
        return True
    return end.over and not (end.stopping and until == "stopped")


async def _hears_news(subscription: Subscription, after: int | None, until: Until) -> bool:
    """Wait for a live event with news; False if PostgreSQL has to be asked whether there is some."""
    while event := await subscription.next():
        if after is not None and event.seq is not None and event.seq > after:
            return True
        if event.terminal:
            return until == "ended"
        subscription.cursor = max(subscription.cursor, event.seq or 0)
    return False


@contextmanager
def _while_connected(request: Request) -> Iterator[None]:
    """Leave the block when the client closes the connection; raises ClientDisconnect unless it can still read."""
    has_left = False

    async def notice() -> None:
        nonlocal has_left
        has_left = await half_closed.left(request.scope, request.receive)
        scope.cancel()

    with anyio.CancelScope() as scope:
        noticing = asyncio.create_task(notice())
        try:
            yield
        finally:
            noticing.cancel()
    if has_left:
        raise ClientDisconnect
