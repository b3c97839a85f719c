"""Queues: what waits in them, and the low-water rank below which nothing ready lies.

Claims start at `low_rank`, so the dead index entries of jobs taken long ago cost them nothing, even while a long
snapshot keeps vacuum from removing those entries. Three rules keep ready jobs from lying below it:

1. the keeper locks the queue's row before it looks, and never raises the mark above the oldest ready job;
2. nor above now() - MARGIN, so that an intake that has not committed yet (its rank is its now()) is above it;
3. whoever makes a job ready with an older rank (priority, a hand-back) lowers the mark in the same transaction.

Should a job lie below all the same, the next look, which does not trust the mark, finds it and lowers the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, String, bindparam, text

from jobcore.store import gates
from jobcore.store.claims import LOW_RANK, READY_SINCE
from jobcore.store.database import DURABLE

MARGIN: Final = "interval '30 s'"

REFRESH: Final = text(
    DURABLE
    + f"""
SELECT FROM queues ORDER BY name FOR NO KEY UPDATE;
UPDATE queues SET low_rank = least(now() - {MARGIN}, coalesce((
    SELECT rank FROM jobs WHERE queue = queues.name AND status = 'PENDING' AND ready ORDER BY rank LIMIT 1
), 'infinity'))
"""
)


def refresh_low_ranks(connection: Connection) -> None:
    """Move each queue's low-water mark to its oldest ready job."""
    connection.execute(REFRESH)


PROMOTE: Final = text(
    DURABLE
    + f"""
WITH due AS MATERIALIZED (
    SELECT id, {gates.AHEAD} AS next
    FROM jobs WHERE status = 'PENDING' AND NOT ready AND gate IS NULL AND run_at <= now()
    ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
), changed AS (
    UPDATE jobs SET ready = next IS NULL, gate = next, rank = now() - priority * interval '60 s'
    FROM due WHERE jobs.id = due.id
    RETURNING queue, rank, ready
), {LOW_RANK}
SELECT queue, count(*) FROM changed WHERE ready GROUP BY queue
"""
)


def promote(connection: Connection, limit: int = 1000) -> dict[str, int]:
    """Make ready, or send to its gate, what waited for its time; returns how many became ready, by queue."""
    return {row[0]: row[1] for row in connection.execute(PROMOTE, {"limit": limit})}


@dataclass(frozen=True, slots=True)
class Demand:
    """What a queue needs: `ready` jobs (counted up to the limit) and `idle` children that could take them.

    `oldest_s` is how many seconds the first of them has been ready.
    """

    queue: str
    ready: int
    oldest_s: float
    idle: int


DEMAND: Final = text(f"""
SELECT queues.name, head.ready, head.oldest_s, greatest(0, fleet.children - fleet.busy)
FROM queues
CROSS JOIN LATERAL (
    SELECT count(*) AS ready,
           coalesce(extract(epoch FROM now() - min(ready_since)), 0) AS oldest_s
    FROM (
        SELECT {READY_SINCE} AS ready_since FROM jobs
        WHERE queue = queues.name AND status = 'PENDING' AND ready AND rank >= queues.low_rank
        ORDER BY rank, id LIMIT :limit
    ) AS first
) AS head
CROSS JOIN LATERAL (
    SELECT coalesce(sum(concurrency), 0) AS children, coalesce(sum(running.children), 0) AS busy
    FROM workers CROSS JOIN LATERAL (
        SELECT count(DISTINCT slot) AS children FROM jobs
        WHERE jobs.worker_id = workers.id AND jobs.status = 'RUNNING'
    ) AS running
    WHERE state = 'active' AND queues.name = ANY(workers.queues)
) AS fleet
WHERE head.ready > 0 AND NOT queues.paused
ORDER BY queues.name
""")


def demand(connection: Connection, limit: int = 256) -> list[Demand]:
    """The queues in which something is ready now."""
    rows: Sequence[tuple[str, int, float, int]] = [tuple(row) for row in connection.execute(DEMAND, {"limit": limit})]
    return [Demand(queue, ready, float(oldest_s), int(idle)) for queue, ready, oldest_s, idle in rows]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as operators see it; counts stop at the limit they were asked with.

    `ready` may be claimed now, `held` wait at a gate, `waiting` for their time; `oldest_s` is how many seconds the
    first ready job has been ready. `children` could run something, of them `busy` do.
    """

    name: str
    paused: bool
    max_running: int | None
    ready: int
    oldest_s: float | None
    held: int
    waiting: int
    running: int
    workers: int
    children: int


LIST: Final = text(f"""
SELECT name, paused, max_running, head.ready, head.oldest_s,
       (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND status = 'PENDING' AND gate IS NOT NULL
                              LIMIT :limit) AS counted),
       (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND status = 'PENDING' AND NOT ready AND gate IS NULL
                              LIMIT :limit) AS counted),
       (SELECT count(*) FROM jobs WHERE queue = name AND status = 'RUNNING'),
       fleet.workers, fleet.children
FROM queues
CROSS JOIN LATERAL (
    SELECT count(*) AS ready, CAST(extract(epoch FROM now() - min(ready_since)) AS double precision) AS oldest_s
    FROM (SELECT {READY_SINCE} AS ready_since FROM jobs
          WHERE queue = queues.name AND status = 'PENDING' AND ready AND rank >= queues.low_rank
          ORDER BY rank, id LIMIT :limit) AS first
) AS head
CROSS JOIN LATERAL (
    SELECT count(*) AS workers, coalesce(sum(concurrency), 0) AS children
    FROM workers WHERE state = 'active' AND queues.name = ANY(workers.queues)
) AS fleet
WHERE :name IS NULL OR name = :name
ORDER BY name
""").bindparams(bindparam("name", type_=String))


def page(connection: Connection, name: str | None = None, limit: int = 10_000) -> list[Queue]:
    """Every queue, or this one, by name."""
    return [Queue(*row) for row in connection.execute(LIST, {"name": name, "limit": limit})]


SET: Final = text(
    DURABLE
    + """
INSERT INTO queues (name, paused, max_running) VALUES (:name, coalesce(:paused, false), :max_running)
ON CONFLICT (name) DO UPDATE SET paused = coalesce(:paused, queues.paused),
    max_running = CASE WHEN :set_max THEN :max_running ELSE queues.max_running END
"""
)


def change(connection: Connection, name: str, *, paused: bool | None, set_max: bool, max_running: int | None) -> None:
    """Pause or resume a queue, and with `set_max` limit it to so many jobs at once (None: no limit)."""
    connection.execute(SET, {"name": name, "paused": paused, "set_max": set_max, "max_running": max_running})
