"""What the leading keeper measures: jobs that have not ended, and the workers that are there for them.

Only partial indexes are read, which ended jobs are not in, and of each no more than a limit: neither a long history
nor a million waiting jobs makes a look dear (a million in one queue: docs/metrics.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.claims import READY_SINCE
from jobcore.store.limits import BLOCKED
from jobcore.store.promotion import WAITS
from jobcore.store.queues import IN_ORDER, OCCUPIED, PERMITS

BOUNDED: Final = """
SET LOCAL statement_timeout = '2s'; SET LOCAL jit = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
"""
"""With these the plan is the one that reads an index up to the limit, whatever statistics say."""


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """`count` jobs of one type in a queue, all `ready` (`paused` in a paused queue), `waiting` or `running`.

    `oldest_s` is how many seconds the first of the ready ones has been ready, else 0.
    """

    queue: str
    task_type: str
    state: str
    count: int
    oldest_s: float


OPEN: Final = text(
    f"""{BOUNDED}
WITH {OCCUPIED}
SELECT name, task_type, state, sum(count), max(oldest_s) FROM (
    SELECT name, ready.task_type, state, ready.count, CASE WHEN state = 'ready' THEN ready.oldest_s ELSE 0 END
    FROM (SELECT name, low_rank, paused, {PERMITS} AS permits FROM queues ORDER BY name) AS queues CROSS JOIN LATERAL (
        SELECT task_type, CASE WHEN paused THEN 'paused' WHEN number > permits THEN 'waiting' ELSE 'ready' END AS state,
               count(*), extract(epoch FROM now() - min(ready_since)) AS oldest_s
        FROM (
            SELECT task_type, {READY_SINCE} AS ready_since, row_number() OVER (ORDER BY rank, id) AS number FROM jobs
            WHERE queue = name AND {IN_ORDER} LIMIT :limit
        ) AS first GROUP BY task_type, 2
    ) AS ready
    UNION ALL
    SELECT queue, task_type, 'waiting', count(*), 0 FROM (
        SELECT queue, task_type FROM jobs WHERE {WAITS} ORDER BY queue, priority, run_at LIMIT :limit
    ) AS first GROUP BY queue, task_type
    UNION ALL
    SELECT queue, task_type, 'waiting', count(*), 0 FROM (
        SELECT queue, task_type FROM jobs WHERE {BLOCKED} LIMIT :limit
    ) AS first GROUP BY queue, task_type
    UNION ALL
    SELECT queue, task_type, 'running', count(*), 0 FROM (
        SELECT queue, task_type FROM jobs WHERE status = 'RUNNING' LIMIT :limit
    ) AS first GROUP BY queue, task_type
) AS seen (name, task_type, state, count, oldest_s) GROUP BY name, task_type, state
"""
)


def open_jobs(connection: Connection, limit: int = 20_000) -> list[OpenJobs]:
    """Count jobs that have not ended: up to `limit` ready ones of each queue, and so many of all queues together that
    wait for their time, that wait for a place of their key, and that run.
    """
    rows = connection.execute(OPEN, {"limit": limit})
    return [OpenJobs(queue, task_type, state, int(count), float(age)) for queue, task_type, state, count, age in rows]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of one queue in one state, `active` or `draining`: `busy` ones of their `children` run a job."""

    queue: str
    state: str
    workers: int
    children: int
    busy: int
    heartbeat_age_s: float


FLEETS: Final = text(
    BOUNDED
    + """
SELECT queue, state, count(*), sum(concurrency), sum(busy), extract(epoch FROM now() - min(heartbeat_at))
FROM (
    SELECT queues, state, concurrency, heartbeat_at, (
        SELECT count(DISTINCT slot) FROM jobs WHERE jobs.worker_id = workers.id AND jobs.status = 'RUNNING'
    ) AS busy
    FROM workers WHERE state IN ('active', 'draining')
) AS live CROSS JOIN LATERAL unnest(queues) AS queue
GROUP BY queue, state
"""
)


def fleets(connection: Connection) -> list[Fleet]:
    """The live workers by queue and state; a worker of two queues is in both."""
    rows = connection.execute(FLEETS)
    return [
        Fleet(name, state, count, children, int(busy), float(age)) for name, state, count, children, busy, age in rows
    ]
