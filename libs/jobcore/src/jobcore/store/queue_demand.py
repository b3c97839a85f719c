"""The demand of queues: which queues need wake-ups, because workers that serve them could take ready jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.queue_limits import OCCUPIED, PERMITS
from jobcore.store.ready_jobs import OF_TYPE, READY, READY_SINCE
from jobcore.store.room import FLEET
from jobcore.store.served import KNOWN


@dataclass(frozen=True, slots=True)
class Demand:
    """A queue with `ready` jobs (counted up to the limit of the query) and `free` children that could take some.

    `oldest_s` is for how many seconds the first of these jobs has been ready.
    """

    queue: str
    ready: int
    oldest_s: float
    free: int


_FIRST: Final = f"""
SELECT id, rank, {READY_SINCE} AS ready_since FROM jobs
WHERE {{of}} AND rank >= low_rank ORDER BY rank, id LIMIT :limit
"""

# A job of a type that no worker of its queue knows wakes nobody. However many there are, none of them is read.
DEMAND: Final = text(f"""{ORDERED}
WITH {FLEET}, {OCCUPIED}, served AS MATERIALIZED (
    SELECT name, low_rank, free, {PERMITS} AS permits FROM queues JOIN fleet USING (name)
    WHERE NOT paused
), {KNOWN}
SELECT name, head.ready, head.oldest_s, free
FROM served CROSS JOIN LATERAL (
    SELECT count(*) AS ready, coalesce(extract(epoch FROM now() - min(ready_since)), 0) AS oldest_s
    FROM (
        SELECT DISTINCT rank, id, ready_since FROM known CROSS JOIN LATERAL (
            ({_FIRST.format(of=OF_TYPE.format(queue="known.name", task_type="known.task_type"))})
            UNION ALL ({_FIRST.format(of=f"known.task_type IS NULL AND queue = known.name AND {READY}")})
        ) AS one WHERE known.name = served.name
        ORDER BY rank, id LIMIT least(:limit, permits)
    ) AS first
) AS head
WHERE head.ready > 0 ORDER BY name
""")


def read(connection: Connection, limit: int = 256) -> list[Demand]:
    """The queues that have workers, and jobs that may start now and are of a type that one of these workers knows."""
    rows = connection.execute(DEMAND, {"limit": limit})
    return [Demand(row.name, row.ready, float(row.oldest_s), row.free) for row in rows]
