"""The quota of each owner, as this process read it last: a submission does not ask PostgreSQL for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Final

from jobcore.store import quotas
from jobcore.store.quotas import Quota
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase
from longrun_api.settings import ApiSettings
from longrun_api.stream_quota import StreamQuota
from longrun_api.submission_quota import SubmissionQuota

REFRESH_S: Final = 5.0
"""Seconds between two reads; a changed quota holds after that time in every process."""

Amounts = Mapping[str, int | None]
"""Quotas by name; None: any number."""

log = logs.get(__name__)


@asynccontextmanager
async def counting(
    settings: ApiSettings, database: AsyncDatabase
) -> AsyncIterator[tuple[Quotas, SubmissionQuota, StreamQuota]]:
    """Read the quotas of owners, and count what they take, while the block lasts."""
    known = Quotas(database, defaults(settings))
    submissions = SubmissionQuota(settings.redis, partial(known.of, "submissions"))
    streams = StreamQuota(settings.redis, partial(known.of, "streams"))
    await known.start()
    await streams.start()
    try:
        yield known, submissions, streams
    finally:
        await known.close()
        await streams.close()
        await submissions.close()


def defaults(settings: ApiSettings) -> Amounts:
    """The quotas of owners without their own, by name."""
    return {
        "submissions": settings.quota_submissions,
        "queued": settings.quota_queued,
        "names": settings.quota_names,
        "streams": settings.quota_streams,
        "stored_bytes": settings.quota_stored_bytes,
    }


class Quotas:
    """Quotas of owners that have their own, and that of the settings for all others."""

    def __init__(self, database: AsyncDatabase, defaults: Amounts) -> None:
        """`defaults` are the quotas of owners without their own."""
        self._database = database
        self._defaults = defaults
        self._are_published = False
        self._own: Mapping[str, Quota] = MappingProxyType({})
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start reading."""
        reading = background_tasks.reread(
            self.refresh, REFRESH_S, log, "cannot read the quotas of owners", "the quotas of owners are read again"
        )
        self._task = asyncio.create_task(reading, name="quotas")

    async def close(self) -> None:
        """Stop reading."""
        await background_tasks.end(self._task)

    def of(self, name: str, owner: str) -> int | None:
        """How much this owner may take of what the quota of this name counts; None: any number."""
        own = self._own.get(owner)
        return self.in_force(None if own is None else own.amounts)[name]

    def in_force(self, own: Amounts | None) -> Amounts:
        """The quotas that hold for an owner with these of its own."""
        return {**self._defaults, **(own or {})}

    async def refresh(self) -> None:
        """Read them now; raises StoreUnavailable."""
        if not self._are_published:  # for the checks of PostgreSQL
            await self._database.call(quotas.publish, self._defaults)
            self._are_published = True
        self._own = await self._database.call(quotas.read_all)
