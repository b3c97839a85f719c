"""Warnings about submissions that no active worker can run, from what this process read of the workers last."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from jobcore.models import Cause
from jobcore.store import served
from jobcore.store.served import Served
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase

REFRESH_S: Final = 1.0
"""Seconds between two reads of what workers can run."""
STARTING_S: Final = 15.0
"""Seconds after the start of this process without warnings: where an API starts, its workers often start too."""
STALE_S: Final = 10.0
"""Seconds after which a read says nothing any more, because PostgreSQL was unavailable since."""

DETAILS: Final = {
    Cause.QUEUE_NOT_SERVED: "no active worker serves the queue {queue}; the task waits until one does",
    Cause.TASK_TYPE_UNKNOWN: "no active worker of the queue {queue} can run the task type {task_type}; "
    "the task waits until one can",
}

log = logs.get(__name__)


class ServedQueues:
    """What active workers can run, read again each second, so that no submission has to ask PostgreSQL for it."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._served: Served | None = None
        self._read_at = 0.0
        self._warn_from = time.monotonic() + STARTING_S
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start reading."""
        reading = background_tasks.reread(
            self.refresh, REFRESH_S, log, "cannot read what workers serve", "what workers serve is read again"
        )
        self._task = asyncio.create_task(reading, name="served-queues")

    async def close(self) -> None:
        """Stop reading."""
        await background_tasks.end(self._task)

    def warnings(self, queue: str, task_type: str) -> list[dict[str, str]]:
        """Why a task just submitted will not start by itself, as in `Accepted.warnings`; empty if nothing is known."""
        now = time.monotonic()
        if self._served is None or now < self._warn_from or now > self._read_at + STALE_S:
            return []
        cause = self._served.lacks(queue, task_type)
        return [{"cause": cause, "detail": DETAILS[cause].format(queue=queue, task_type=task_type)}] if cause else []

    async def refresh(self) -> None:
        """Read what active workers can run now; raises StoreUnavailable."""
        self._served = await self._database.call(served.read)
        self._read_at = time.monotonic()
