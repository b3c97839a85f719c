"""The parts of a running API process: created at startup, stopped in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from fastapi import Request

from jobcore.admission.intake import Intake
from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.live_events import LiveEvents
from jobcore.broker.waker import Waker
from jobcore.host.background_thread import BackgroundThread
from jobcore.keeper.keeper import Keeper
from jobcore.models import Accepted, AcceptedAlike
from jobcore.sealing.keys import SecretKeys
from jobcore.store.database import Database
from jobcore.tasks import Registry, load_tasks
from longrun_api.auth.authenticator import Authenticator
from longrun_api.auth.running import authenticating
from longrun_api.database import AsyncDatabase
from longrun_api.event_feed import EventFeed
from longrun_api.event_stream import Backlog
from longrun_api.file_reads import FileReads
from longrun_api.keepalive import Keepalive
from longrun_api.long_polls import LongPolls
from longrun_api.pace import Pace
from longrun_api.published_types import PublishedTypes
from longrun_api.quotas import Quotas, counting
from longrun_api.readiness import Readiness
from longrun_api.served_queues import ServedQueues
from longrun_api.settings import ApiSettings
from longrun_api.shutdown import Shutdown
from longrun_api.stream_check import StreamCheck
from longrun_api.stream_quota import StreamQuota
from longrun_api.submission_quota import SubmissionQuota
from longrun_api.uploads import Uploads

EXPORTS: Final = 2
"""How many exports read from PostgreSQL at once: the other connections are for short requests."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts that routes use."""

    settings: ApiSettings
    registry: Registry
    secret_keys: SecretKeys
    authenticator: Authenticator
    database: AsyncDatabase
    intake: Intake
    waker: Waker
    limits: Limits
    publisher: EventPublisher
    live_events: LiveEvents
    event_feed: EventFeed
    long_polls: LongPolls
    pace: Pace
    stream_backlog: Backlog
    keepalive: Keepalive
    file_reads: FileReads
    uploads: Uploads
    served_queues: ServedQueues
    readiness: Readiness
    quotas: Quotas
    submission_quota: SubmissionQuota
    stream_quota: StreamQuota
    shutdown: Shutdown
    export_turns: asyncio.Semaphore


@asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[Runtime]:
    """Start all parts, and stop them in reverse order. PostgreSQL and Redis may be unavailable at startup."""
    timeout_s, pool_size = settings.database_timeout_s, settings.database_pool_size
    connect = partial(Database, settings.database_url, schema=settings.database_schema, timeout_s=timeout_s)
    database = connect(name="longrun-api", pool_size=pool_size)
    requests = AsyncDatabase(database, pool_size, timeout_s)
    shutdown = Shutdown()
    waker = Waker(settings)
    intake_database = connect(name="longrun-intake", pool_size=1)
    publisher = EventPublisher(settings.redis)

    intake = Intake(intake_database, partial(announce, waker, publisher), Limits(intake_database, waker.wake))
    keeper = Keeper(settings, waker, publisher)
    live_events = LiveEvents(settings.redis)
    readiness = Readiness(intake, settings.redis, shutdown)
    for part in (waker, publisher, intake, keeper):
        part.start()
    stream_check = StreamCheck(live_events, requests)
    event_feed = EventFeed(live_events, requests)
    pace = Pace(requests)
    backlog, keepalive = Backlog(settings.stream_backlog_bytes), Keepalive()
    await live_events.start()
    await stream_check.start()
    await event_feed.start()
    await keepalive.start()
    served_queues = ServedQueues(requests)
    await served_queues.start()
    registry = load_tasks(settings.tasks)
    published_types = PublishedTypes(requests, registry)
    await published_types.start()
    try:
        with shutdown.on_signals():
            async with authenticating(settings, requests) as authenticator, counting(settings, requests) as counted:
                yield Runtime(
                    settings,
                    registry,
                    SecretKeys(settings.secret_keys),
                    authenticator,
                    requests,
                    intake,
                    waker,
                    Limits(database, waker.wake),
                    publisher,
                    live_events,
                    event_feed,
                    LongPolls(live_events, requests, shutdown, settings.wait_max_s),
                    pace,
                    backlog,
                    keepalive,
                    FileReads(settings.files),
                    Uploads(
                        requests,
                        settings.files,
                        max_bytes=settings.max_upload_bytes,
                        keep_s=settings.staged_files_s,
                    ),
                    served_queues,
                    readiness,
                    *counted,
                    shutdown,
                    asyncio.Semaphore(EXPORTS),
                )
    finally:
        shutdown.begin()
        await _stop(keeper, intake)
        await _stop(publisher, waker)  # after the others, whose last changes they announce
        await published_types.close()
        await served_queues.close()
        await keepalive.close()
        await pace.close()
        await event_feed.close()
        await stream_check.close()
        await live_events.close()
        await readiness.close()
        database.close()
        intake_database.close()


def announce(waker: Waker, publisher: EventPublisher, jobs: Iterable[Accepted | AcceptedAlike]) -> None:
    """Wake workers for jobs just accepted, and say that there are events of theirs."""
    waker.notify(jobs)
    publisher.announce()


async def _stop(*parts: BackgroundThread) -> None:
    """Stop parts in parallel: each takes seconds if PostgreSQL or Redis does not answer."""
    await asyncio.gather(*(asyncio.to_thread(part.stop) for part in parts))


def runtime_of(request: Request) -> Runtime:
    """The runtime of the application that handles this request."""
    return cast(Runtime, request.app.state.runtime)
