"""Which queues with a rate limit have ready jobs, and when the next of them may start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.ready_jobs import IN_ORDER
from jobcore.store.rows import Rows
from jobcore.store.starts import QUEUE_PERMITS, next_start, of_queue


@dataclass(frozen=True, slots=True)
class QueueRate:
    """A queue with ready jobs: how many of its jobs may start now and, if none may, in how many seconds one may."""

    queue: str
    permits: int
    next_in_s: float


_RATES: Final = Rows(QueueRate)
WAITING: Final = text(f"""{ORDERED}
SELECT {_RATES.columns} FROM (
    SELECT name AS queue, {QUEUE_PERMITS.format(now="now()")} AS permits,
           CAST(greatest(0, extract(epoch FROM {next_start(of_queue("name"))} - now()))
                AS double precision) AS next_in_s
    -- in order of name, for which there is an index
    FROM (SELECT * FROM queues WHERE max_starts IS NOT NULL AND NOT paused ORDER BY name) AS queues
    CROSS JOIN LATERAL (SELECT FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT 1) AS first
) AS rated
""")


def waiting(connection: Connection) -> list[QueueRate]:
    """The queues with a rate limit that are not paused and have ready jobs."""
    return _RATES.read(connection.execute(WAITING))
