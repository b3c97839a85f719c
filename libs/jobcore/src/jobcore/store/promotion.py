"""Promotion: due jobs become ready or blocked, however many are due at once.

An index has the waiting jobs by queue, priority and time. Each call takes a share of every queue that has due jobs, the
first by rank, so a backlog in one queue (one that is paused, or that nobody serves) delays no other.

A job of an application's own transaction (`longrun.submit`, docs/transactions.md) is due when its transaction commits.
No other session can know when that is. So the job is stored as one that waits, and promotion does what an intake does
at once for other jobs: it gives the job its rank and its turn, and makes its queue known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import fair_turns, limits
from jobcore.store.jobs import LOCK_INTAKES
from jobcore.store.low_ranks import LOWER
from jobcore.store.prepared import ORDERED
from jobcore.store.transactions import DURABLE

WAITS: Final = "status = 'PENDING' AND NOT ready AND gate IS DISTINCT FROM 'key'"
"""Whether a row of `jobs` waits for its time. Version 0.1 may have written `queue` into the column `gate`."""

COMMITTED: Final = "run_at = created_at AND gate IS NULL"
"""Whether a job that waits was only kept from running by its transaction, which has committed.

`longrun.submit` stores `run_at` so for a job that is due at once. An intake never leaves such a job waiting."""

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

UNKNOWN_QUEUES: Final = "SELECT DISTINCT queue FROM level WHERE NOT EXISTS (SELECT FROM queues WHERE name = queue)"
"""The queues of waiting jobs that have no row yet: their only jobs are of transactions of applications."""

# It reads one index entry for each queue and priority in which jobs wait, however many they are.
SOME_DUE: Final = text(f"{ORDERED} WITH RECURSIVE {LEVEL} SELECT EXISTS (SELECT FROM level WHERE run_at <= now())")

PROMOTE: Final = text(
    DURABLE
    + f"""
{LOCK_INTAKES};
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
    SELECT id, queue, fairness_key, {COMMITTED} AS committed FROM (
        SELECT id, queue, fairness_key, run_at, created_at, status, ready, gate FROM jobs
        WHERE id = ANY(ARRAY(SELECT id FROM due WHERE number <= (SELECT jobs FROM share)))
        ORDER BY id FOR UPDATE SKIP LOCKED
    ) AS found WHERE {WAITS}
), {fair_turns.turns("locked WHERE committed")}, place AS MATERIALIZED (
    SELECT id, committed, at FROM locked LEFT JOIN turn USING (id)
), changed AS (
    UPDATE jobs SET
        gate = {limits.BLOCKED_BY}, rate_blocked = {limits.BY_RATE}, ready = {limits.BLOCKED_BY} IS NULL,
        run_at = CASE WHEN committed THEN now() ELSE run_at END,
        rank = CASE WHEN committed THEN coalesce(place.at, now()) - priority * interval '60 s' ELSE {DUE_RANK} END
    FROM place WHERE jobs.id = place.id AND jobs.id = ANY(ARRAY(SELECT id FROM place))
    RETURNING queue, rank, ready, concurrency_key, rate_key
), known AS (
    INSERT INTO queues (name) SELECT queue FROM ({UNKNOWN_QUEUES}) AS unknown ORDER BY queue ON CONFLICT DO NOTHING
), {LOWER}
SELECT queue, count(*) AS due, count(*) FILTER (WHERE ready) AS ready,
       coalesce(array_agg(DISTINCT concurrency_key) FILTER (WHERE NOT ready AND NOT {limits.BY_RATE}), '{{}}') AS keys,
       coalesce(array_agg(DISTINCT rate_key) FILTER (WHERE NOT ready AND {limits.BY_RATE}), '{{}}') AS rate_keys
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


def some_due(connection: Connection) -> bool:
    """Whether a job waits whose time has come."""
    return bool(connection.execute(SOME_DUE).scalar_one())
