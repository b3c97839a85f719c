"""Promotion: what waited for its time becomes ready, however much becomes due at once and in whose queue.

An index holds what waits by queue, priority and time. Each call takes a share of every queue in which something is due,
the first by rank, so a backlog in one queue (paused, perhaps, or served by nobody) holds up no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import limits
from jobcore.store.claims import LOW_RANK
from jobcore.store.database import DURABLE

WAITS: Final = "status = 'PENDING' AND NOT ready AND gate IS DISTINCT FROM 'key'"
"""Whether a row of `jobs` waits for its time. Another gate than `key` is one of the version before."""

DUE_RANK: Final = "run_at - priority * interval '60 s'"
"""The rank of a job that waited for its time: its place is where it became due, whenever it is promoted."""

LEVEL: Final = f"""
level AS (
    (SELECT queue, priority, run_at FROM jobs WHERE {WAITS} ORDER BY queue, priority, run_at LIMIT 1)
    UNION ALL
    SELECT next.queue, next.priority, next.run_at FROM level CROSS JOIN LATERAL (
        SELECT queue, priority, run_at FROM jobs
        WHERE {WAITS} AND (queue, priority) > (level.queue, level.priority)
        ORDER BY queue, priority, run_at LIMIT 1
    ) AS next
)"""
"""In WITH RECURSIVE: the first time for which jobs wait, of each queue and priority."""

PROMOTE: Final = text(
    DURABLE
    + f"""
WITH RECURSIVE {LEVEL}, due_level AS MATERIALIZED (
    SELECT queue, priority FROM level WHERE run_at <= now()
), share AS MATERIALIZED (
    SELECT greatest(1, :batch / greatest(1, count(DISTINCT queue))) AS jobs FROM due_level
), due AS MATERIALIZED (
    SELECT id, row_number() OVER (PARTITION BY due_level.queue ORDER BY rank, id) AS number
    FROM due_level CROSS JOIN LATERAL (
        SELECT id, {DUE_RANK} AS rank FROM jobs
        WHERE {WAITS} AND queue = due_level.queue AND priority = due_level.priority AND run_at <= now()
        ORDER BY run_at LIMIT (SELECT jobs FROM share)
    ) AS first
), locked AS MATERIALIZED (
    -- compared afterwards: while a table is small, the partial index of what waits looks as cheap as the key
    SELECT id FROM (
        SELECT id, status, ready, gate FROM jobs
        WHERE id = ANY(ARRAY(SELECT id FROM due WHERE number <= (SELECT jobs FROM share)))
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS found WHERE {WAITS}
), changed AS (
    UPDATE jobs SET gate = {limits.BLOCKED_BY}, ready = {limits.BLOCKED_BY} IS NULL, rank = {DUE_RANK}
    WHERE id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING queue, rank, ready, concurrency_key
), {LOW_RANK}
SELECT queue, count(*), count(*) FILTER (WHERE ready),
       coalesce(array_agg(DISTINCT concurrency_key) FILTER (WHERE NOT ready), '{{}}')
FROM changed GROUP BY queue
"""
)


@dataclass(frozen=True, slots=True)
class Promoted:
    """How many jobs of a queue became due, how many of them are ready, and at whose keys' gates the others wait."""

    queue: str
    due: int
    ready: int
    keys: list[str]


def promote(connection: Connection, batch: int = 2000) -> list[Promoted]:
    """Make ready, or send to its gate, what waited for its time: about `batch` jobs, shared between the queues."""
    return [Promoted(*row) for row in connection.execute(PROMOTE, {"batch": batch})]
