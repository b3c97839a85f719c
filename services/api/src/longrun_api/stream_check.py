"""Find events that no live event announced, with one query for all idle streams of this process.

A live event can be lost anywhere between a worker and this process. The jobs of idle streams are therefore checked
every CHECK_S seconds, and more often while Redis is unavailable. With thousands of idle streams the checks are further
apart, so that they cost next to nothing. A lost live event delays a stream until the next check.
"""

from __future__ import annotations

import asyncio
from typing import Final

from jobcore.broker.live_events import LiveEvents
from jobcore.errors import StoreUnavailable
from jobcore.store import event_pages
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase

CHECK_S: Final = 5.0
CHECK_WITHOUT_REDIS_S: Final = 2.0
SHARE: Final = 0.005
"""The most that checks may take of the time while Redis is available."""
STEP_S: Final = 1.0
"""How soon a check notices that Redis is unavailable."""
BATCH: Final = 5000
"""Maximum number of streams per query, which keeps it far below the timeout of a request."""

log = logs.get(__name__)


class StreamCheck:
    """Marks subscriptions as behind whose job has events that no live event told of."""

    def __init__(self, live_events: LiveEvents, database: AsyncDatabase) -> None:
        self._live_events = live_events
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "cannot check idle streams", "idle streams are checked again")

    async def start(self) -> None:
        """Start checking."""
        self._task = asyncio.create_task(self._run(), name="stream-check")

    async def close(self) -> None:
        """Stop checking."""
        await background_tasks.end(self._task)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began = ended = loop.time()
        while True:
            await asyncio.sleep(STEP_S)
            pause_s = max(CHECK_S, (ended - began) / SHARE) if self._live_events.connected else CHECK_WITHOUT_REDIS_S
            if loop.time() - ended < pause_s:
                continue
            began = loop.time()
            try:
                await self._check()
                self._outage.end()
            except StoreUnavailable as error:  # the next check finds the same events
                self._outage.begin(error)
            except Exception:
                log.exception("cannot check idle streams")
            ended = loop.time()

    async def _check(self) -> None:
        idle = list(self._live_events.idle())
        for _, reader in idle:
            if reader.awaits_stop:
                reader.mark_behind()  # only its job tells
        readers = sorted(
            (each for each in idle if not each[1].awaits_stop), key=lambda each: each[1].cursor, reverse=True
        )
        for start in range(0, len(readers), BATCH):
            batch = readers[start : start + BATCH]
            # the lowest cursor of a job with several readers
            cursors = {job_id: reader.cursor for job_id, reader in batch}
            if ahead := await self._database.call(event_pages.ahead, cursors):
                for job_id, reader in batch:
                    if job_id in ahead:
                        reader.mark_behind()
