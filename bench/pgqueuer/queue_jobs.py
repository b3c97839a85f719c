"""`python -m bench.pgqueuer.queue_jobs 1000`: queue so many jobs, as many per call as Longrun's per commit."""

from __future__ import annotations

import asyncio
import os
import sys

import asyncpg
from pgqueuer import Queries

BATCH = 1_000
PAYLOAD = b'{"hello": "world"}'


async def queue(jobs: int) -> None:
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    queries = Queries.from_asyncpg_connection(connection)
    for first in range(0, jobs, BATCH):
        count = min(BATCH, jobs - first)
        await queries.enqueue(["no_op"] * count, [PAYLOAD] * count, [0] * count)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(queue(int(sys.argv[1])))
