"""What a running API process holds, from its start to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from jobcore.following import Live
from jobcore.gates import Gates
from jobcore.intake import Intake
from jobcore.keeper import Keeper
from jobcore.live import Announcer
from jobcore.store.database import Database
from jobcore.tasks import Registry, load_tasks
from jobcore.wakeup import Waker
from longrun_api.database import AsyncDatabase
from longrun_api.readiness import Readiness
from longrun_api.settings import ApiSettings
from longrun_api.shutdown import Shutdown


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that routes use."""

    settings: ApiSettings
    registry: Registry
    database: AsyncDatabase
    intake: Intake
    waker: Waker
    announcer: Announcer
    live: Live
    readiness: Readiness
    shutdown: Shutdown


@asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[Runtime]:
    """Start every part, end them in reverse; neither PostgreSQL nor Redis need be there."""
    url, schema = settings.database_url, settings.database_schema
    database = Database(url, schema=schema, name="longrun-api", pool_size=settings.database_pool_size, pre_ping=True)
    requests = AsyncDatabase(database, settings.database_pool_size, settings.database_timeout_s)
    shutdown = Shutdown()
    waker = Waker(settings)
    intake_database = Database(url, schema=schema, name="longrun-intake", pool_size=1, pre_ping=True)
    intake = Intake(intake_database, waker.notify, Gates(intake_database, waker.wake))
    announcer = Announcer(settings.redis_url)
    keeper = Keeper(settings, waker, announcer)
    live = Live(settings.redis_url)
    readiness = Readiness(requests, settings.redis_url, shutdown)
    for part in (waker, announcer, intake, keeper):
        part.start()
    await live.start()
    try:
        with shutdown.on_signals():
            yield Runtime(settings, load_tasks(), requests, intake, waker, announcer, live, readiness, shutdown)
    finally:
        shutdown.begin()
        for part in (keeper, intake, announcer, waker):
            part.stop()
        await live.close()
        await readiness.close()
        database.close()


def runtime_of(request: Request) -> Runtime:
    """The runtime of the application that handles this request."""
    return cast(Runtime, request.app.state.runtime)
