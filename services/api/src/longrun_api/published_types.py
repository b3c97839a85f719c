"""The task types of this process, published in the database for applications that call `longrun.submit` there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from jobcore.errors import LongrunError
from jobcore.store import task_types
from jobcore.tasks import Registry
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase

RETRY_S: Final = 1.0
"""Seconds before another try, while PostgreSQL is unavailable or its schema is older than this process."""
SEEN_S: Final = 3600.0
"""Seconds between two times at which this process says that it still accepts its types."""

log = logs.get(__name__)


class PublishedTypes:
    """Publishes the task types at the start of the process, in the background, and keeps them from being forgotten."""

    def __init__(self, database: AsyncDatabase, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "cannot publish the task types", "the task types are published")

    async def start(self) -> None:
        """Start publishing."""
        self._task = asyncio.create_task(self._run(), name="published-types")

    async def close(self) -> None:
        """Stop publishing."""
        await background_tasks.end(self._task)

    async def _run(self) -> None:
        await self._until_done(task_types.publish)
        while True:
            await asyncio.sleep(SEEN_S)
            await self._until_done(task_types.see)

    async def _until_done(self, store: Callable[..., None]) -> None:
        while True:
            try:
                await self._database.call(store, self._registry.submittable())
            except LongrunError as error:
                self._outage.begin(error)
            except Exception:
                log.exception("cannot publish the task types")
            else:
                return self._outage.end()
            await asyncio.sleep(RETRY_S)
