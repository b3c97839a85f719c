"""Promotion: due jobs become ready or blocked, however many are due at once.

An index has the waiting jobs by queue, priority and time. Each call takes a share of every queue that has due jobs, the
first by rank, so a backlog in one queue (one that is paused, or that nobody serves) delays no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import limits
from jobcore.store.low_ranks import LOWER
from jobcore.store.transactions import DURABLE

WAITS: Final = "status = 'PENDING' AND NOT ready AND gate IS DISTINCT FROM 'key'"
"""Whether a row of `jobs` waits for its time. Version 0.1 may have written `queue` into the column `gate`."""

DUE_RANK: Final = "run_at - priority * interval '60 s'"
"""The rank of a job that waited: it follows from the time when the job became due, whenever it is promoted."""

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
"""A CTE of WITH RECURSIVE: the first time for which jobs wait, for each queue and priority."""

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
    -- the conditions come afterwards: with a small table, the partial index of waiting jobs looks as cheap as the key
    SELECT id FROM (
        SELECT id, status, ready, gate FROM jobs
        WHERE id = ANY(ARRAY(SELECT id FROM due WHERE number <= (SELECT jobs FROM share)))
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS found WHERE {WAITS}
), changed AS (
    UPDATE jobs SET gate = {limits.BLOCKED_BY}, rate_blocked = {limits.BY_RATE}, ready = {limits.BLOCKED_BY} IS NULL,
                    rank = {DUE_RANK}
    WHERE id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING queue, rank, ready, concurrency_key, rate_key
), {LOWER}
SELECT queue, count(*) AS due, count(*) FILTER (WHERE ready) AS ready,
       array_remove(array_agg(DISTINCT concurrency_key) FILTER (WHERE NOT ready), NULL) AS keys,
       array_agg(DISTINCT rate_key) FILTER (WHERE NOT ready AND {limits.BY_RATE}) AS rate_keys
FROM changed GROUP BY queue
"""
)


@dataclass(frozen=True, slots=True)
class Promoted:
    """How many `due` jobs of a queue were promoted, how many are `ready`, and which keys block the others."""

    queue: str
    due: int
    ready: int
    keys: Sequence[str]
    rate_keys: Sequence[str]


def promote(connection: Connection, batch: int = 2000) -> list[Promoted]:
    """Make about `batch` due jobs ready or blocked; the queues share the batch evenly."""
    return [Promoted(**row._asdict()) for row in connection.execute(PROMOTE, {"batch": batch})]
