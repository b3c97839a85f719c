"""When a client should look at a task again: the number in `Retry-After`, from the pace of the task's queue.

A task that is ready probably starts when the queue has got as far as its head has come: the head of a queue has been
ready for as long as a new task will be. One statement reads that for all queues that requests asked about, and at most
every EVERY_S seconds, so no request pays for it. A task of which nothing is known is looked at again after a tenth of
the time that it has waited or run so far.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from jobcore.errors import LongrunError
from jobcore.models import Job, NewJob
from jobcore.states import Status
from jobcore.store import queue_heads
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase

SHORTEST_S: Final = 1
LONGEST_S: Final = 60
EVERY_S: Final = 5.0
QUEUES: Final = 1000
"""The most queues whose heads are read at once; what is asked about others starts again from nothing."""
SHARE: Final = 0.1


class Pace:
    """Estimates from what this process knows; it never waits."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._ages: Mapping[str, float] = {}
        self._asked: set[str] = set()
        self._read_at = -math.inf
        self._reading: asyncio.Task[None] | None = None

    def of_new(self, job: NewJob) -> int:
        """Seconds for a task that has just been accepted."""
        due_s = job.delay_s or 0.0
        if job.run_at is not None:
            due_s = (job.run_at - datetime.now(UTC)).total_seconds()
        return _bounded(due_s if due_s > 0 else self._age_s(job.queue))

    def of(self, job: Job) -> int | None:
        """Seconds for a task; None if it has ended."""
        now = datetime.now(UTC)
        if job.ended:
            return None
        if job.status is Status.RUNNING and job.started_at is not None:
            return _bounded(SHARE * _seconds(now - job.started_at))
        if job.run_at > now:
            return _bounded(_seconds(job.run_at - now))
        waited_s = _seconds(now - max(job.run_at, job.created_at))
        return _bounded(max(self._age_s(job.queue) - waited_s, SHARE * waited_s))

    async def close(self) -> None:
        """Stop reading."""
        await background_tasks.end(self._reading)

    def _age_s(self, queue: str) -> float:
        """For how long the head of a queue has been ready, as of the last read; 0 if it was not asked about then."""
        if len(self._asked) < QUEUES:
            self._asked.add(queue)
        is_old = time.monotonic() - self._read_at >= EVERY_S
        if is_old and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(), name="pace")
        return self._ages.get(queue, 0.0)

    async def _read(self) -> None:
        asked, self._asked = self._asked, set()
        with suppress(LongrunError):
            self._ages = await self._database.call(queue_heads.ages, asked)
        self._read_at = time.monotonic()


def _seconds(span: timedelta) -> float:
    return span.total_seconds()


def _bounded(seconds: float) -> int:
    return SHORTEST_S if seconds <= SHORTEST_S else LONGEST_S if seconds >= LONGEST_S else math.ceil(seconds)
