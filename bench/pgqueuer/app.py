"""What `pgq run` serves: one job that does nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import Job, PgQueuer


@asynccontextmanager
async def create() -> AsyncIterator[PgQueuer]:
    """The worker, as PgQueuer's documentation creates one."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    queuer = PgQueuer.from_asyncpg_connection(connection)

    @queuer.entrypoint("no_op")  # type: ignore[untyped-decorator]
    async def no_op(job: Job) -> None:
        pass

    try:
        yield queuer
    finally:
        await connection.close()
