"""What the leading keeper measures: jobs that have not ended, and live workers.

The statements read only partial indexes, which do not contain ended jobs, and each index up to a limit. So neither a
long history nor a million waiting jobs makes them slow (docs/metrics.md has figures for a million in one queue).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.models import by_lane
from jobcore.states import Lane
from jobcore.store.limits import BLOCKED
from jobcore.store.promotion import WAITS
from jobcore.store.queue_limits import OCCUPIED, PERMITS
from jobcore.store.ready_jobs import IN_ORDER, READY_SINCE
from jobcore.store.room import ROOM
from jobcore.store.rows import Rows
from jobcore.store.start_permits import BLOCKED as BLOCKED_BY_RATE
from jobcore.store.starts import QUEUE_PERMITS

BOUNDED: Final = """
SET LOCAL statement_timeout = '2s'; SET LOCAL jit = off;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
"""
"""With these settings, the planner chooses to read an index up to the limit, whatever its statistics say."""


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """`count` jobs of one task type in a queue and a state.

    `state` is `ready` (`paused` in a paused queue), `waiting` or `running`. `oldest_s` is for how many seconds the
    first ready job has been ready; it is 0 for other states.
    """

    queue: str
    task_type: str
    state: str
    count: int
    oldest_s: float


OPEN: Final = text(
    f"""{BOUNDED}
WITH {OCCUPIED}
SELECT name AS queue, task_type, state, CAST(sum(count) AS bigint) AS jobs,
       CAST(max(oldest_s) AS double precision) AS oldest_s FROM (
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
    """Count the jobs that have not ended, by queue, task type and state.

    Counts up to `limit` ready jobs of each queue, and of all queues together up to `limit` jobs that wait for their
    time, `limit` that are blocked, and `limit` that run.
    """
    rows = connection.execute(OPEN, {"limit": limit})
    return [OpenJobs(row.queue, row.task_type, row.state, row.jobs, row.oldest_s) for row in rows]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of one queue in one state, `active` or `draining`. Of their `children`, `free` ones can take jobs.

    `runs` and `room` are by lane: the jobs that they run, and how many more they could start now.
    """

    queue: str
    state: str
    workers: int
    children: int
    free: int
    runs: Mapping[Lane, int]
    room: Mapping[Lane, int]
    heartbeat_age_s: float


_FLEETS: Final = Rows(Fleet, runs=by_lane, room=by_lane)
FLEETS: Final = text(f"""{BOUNDED}
SELECT {_FLEETS.columns} FROM (
    SELECT queue, state, count(*) AS workers, sum(concurrency) AS children, CAST(sum(free) AS bigint) AS free,
           CAST(ARRAY[sum(process), sum(async), sum(thread)] AS bigint[]) AS runs,
           CAST(ARRAY[sum(process_room), sum(async_room), sum(thread_room)] AS bigint[]) AS room,
           CAST(extract(epoch FROM now() - min(heartbeat_at)) AS double precision) AS heartbeat_age_s
    FROM workers CROSS JOIN {ROOM} CROSS JOIN LATERAL unnest(queues) AS queue
    WHERE state IN ('active', 'draining') GROUP BY queue, state
) AS fleets
""")


def fleets(connection: Connection) -> list[Fleet]:
    """The live workers by queue and state; a worker of two queues counts in both, with all that it runs."""
    return _FLEETS.read(connection.execute(FLEETS))


RATE_BLOCKED: Final = text(f"""{BOUNDED}
SELECT queue, CAST(sum(jobs) AS bigint) AS jobs FROM (
    SELECT queue, count(*) FROM (SELECT queue FROM jobs WHERE {BLOCKED_BY_RATE} LIMIT :limit) AS first GROUP BY queue
    UNION ALL
    SELECT name, count(*) FROM (
        SELECT name, low_rank, {QUEUE_PERMITS.format(now="now()")} AS permits
        FROM queues WHERE max_starts IS NOT NULL AND NOT paused ORDER BY name
    ) AS rated CROSS JOIN LATERAL (
        SELECT FROM jobs WHERE queue = name AND {IN_ORDER} OFFSET permits LIMIT :limit
    ) AS late GROUP BY name
) AS seen (queue, jobs) GROUP BY queue
""")


def rate_blocked(connection: Connection, limit: int = 20_000) -> dict[str, int]:
    """How many jobs of each queue a rate limit of their key or of the queue keeps from starting now.

    Counts up to `limit` jobs for the keys, and up to `limit` of each queue.
    """
    return {row.queue: row.jobs for row in connection.execute(RATE_BLOCKED, {"limit": limit})}
