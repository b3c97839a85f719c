"""What no live event told: all quiet streams of this process look into PostgreSQL together, in one query.

A live event may be lost anywhere between a worker and here, so each quiet stream's job is looked at every CHECK_S
seconds, and more often while Redis is away. That is how long a lost event may hold up a stream.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from operator import attrgetter
from typing import Final

from jobcore.broker.live_events import LiveEvents
from jobcore.errors import StoreUnavailable
from jobcore.store import event_pages
from jobcore.telemetry import logs
from longrun_api.database import AsyncDatabase

CHECK_S: Final = 5.0
CHECK_WITHOUT_REDIS_S: Final = 2.0
BATCH: Final = 5000
"""Streams that one query asks for: it stays far below the timeout of a request, however many streams there are."""

log = logs.get(__name__)


class StreamCheck:
    """Marks subscriptions as behind whose job has events that no live event told of."""

    def __init__(self, live_events: LiveEvents, database: AsyncDatabase) -> None:
        self._live_events = live_events
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "quiet streams could not be checked", "quiet streams are checked again")

    async def start(self) -> None:
        """Begin to check."""
        self._task = asyncio.create_task(self._run(), name="stream-check")

    async def close(self) -> None:
        """Stop checking."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S if self._live_events.connected else CHECK_WITHOUT_REDIS_S)
            try:
                await self._check()
                self._outage.end()
            except StoreUnavailable as error:  # the next check finds what this one missed
                self._outage.begin(error)
            except Exception:
                log.exception("quiet streams could not be checked")

    async def _check(self) -> None:
        readers = sorted(self._live_events.idle(), key=attrgetter("cursor"), reverse=True)
        for start in range(0, len(readers), BATCH):
            batch = readers[start : start + BATCH]
            cursors = {reader.job_id: reader.cursor for reader in batch}  # of several readers of a job the lowest
            if ahead := await self._database.call(event_pages.ahead, cursors):
                for reader in batch:
                    if reader.job_id in ahead:
                        reader.mark_behind()
