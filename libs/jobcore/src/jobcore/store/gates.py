"""Gates: what holds a job back from being ready, so that a claim never has to look at a limit.

    accepted or due ──▶ gate 'key' ──▶ gate 'queue' ──▶ ready ──▶ RUNNING ──▶ over: its places are free
                        a place of its     a place of its
                        concurrency key    limited queue

A job takes a place when it passes a gate, and keeps it until its run is over, or until it waits for its time again.
Places are counted, never stored, so no counter can drift: at most `max_running` jobs are past a gate, so the count
reads as many entries of a small index. Whoever lets jobs pass holds the gate's transaction lock and counts in a
statement of its own, after it has the lock: a count in the statement that waits would miss what was let through
meanwhile.

Letting pass is level-triggered: whoever sees places become free asks at once (`pass_keys`, `pass_queues`), and the
keeper asks every second for all (`waiting_keys`, `limited`), so a lost request costs a second.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, text

from jobcore.store.claims import LOW_RANK
from jobcore.store.database import DURABLE

LOCK: Final = (
    DURABLE
    + """
-- in one order, so that two of them never wait for each other in a circle
SELECT pg_advisory_xact_lock(lock) FROM (
    SELECT DISTINCT hashtextextended(:gate || name, 0) AS lock FROM unnest(CAST(:names AS text[])) AS name ORDER BY lock
) AS locks;
"""
)
"""Held until the statement that follows in the same string has committed; that one sees all that is committed then."""

AHEAD: Final = """
CASE WHEN concurrency_key IS NOT NULL THEN 'key'
     WHEN (SELECT max_running FROM queues WHERE name = queue) IS NOT NULL THEN 'queue' END
"""
"""The gate ahead of a row of `jobs` that would otherwise be ready now."""

PASSED: Final = f"""
{LOW_RANK}
SELECT queue, count(*) FILTER (WHERE ready) FROM changed GROUP BY queue
"""

PASS_KEYS: Final = text(
    LOCK
    + f"""
WITH room AS MATERIALIZED (
    SELECT key, coalesce(max_running, 1) - (
        SELECT count(*) FROM jobs WHERE concurrency_key = key AND concurrency_key IS NOT NULL AND (
            (status = 'PENDING' AND (ready OR gate = 'queue')) OR status = 'RUNNING'
            OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))
    ) AS places
    FROM unnest(CAST(:names AS text[])) AS key LEFT JOIN key_limits USING (key)
), next AS MATERIALIZED (
    SELECT first.id FROM room CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE concurrency_key = room.key AND status = 'PENDING' AND gate = 'key'
        ORDER BY rank, id LIMIT greatest(0, places)
    ) AS first
), locked AS MATERIALIZED (
    SELECT jobs.id, queues.max_running IS NOT NULL AS limited
    FROM jobs JOIN next USING (id) JOIN queues ON queues.name = jobs.queue
    WHERE status = 'PENDING' AND gate = 'key' ORDER BY jobs.id FOR UPDATE OF jobs
), changed AS (
    UPDATE jobs SET gate = CASE WHEN limited THEN 'queue' END, ready = NOT limited
    FROM locked WHERE jobs.id = locked.id
    RETURNING queue, ready, rank
), {PASSED}
"""
)

PASS_QUEUES: Final = text(
    LOCK
    + f"""
WITH room AS MATERIALIZED (
    SELECT name, CASE WHEN max_running IS NULL THEN :batch ELSE least(:batch, max_running - (
        (SELECT count(*) FROM jobs WHERE queue = name AND status = 'PENDING' AND ready)
        + (SELECT count(*) FROM jobs WHERE queue = name AND status = 'RUNNING')
        + (SELECT count(*) FROM jobs WHERE queue = name AND status = 'CANCELLED' AND cancel_stopped_at IS NULL)
    )) END AS places
    FROM queues WHERE name = ANY(:names)
), next AS MATERIALIZED (
    SELECT first.id FROM room CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE queue = room.name AND status = 'PENDING' AND gate = 'queue'
        ORDER BY rank, id LIMIT greatest(0, places)
    ) AS first
), locked AS MATERIALIZED (
    SELECT jobs.id FROM jobs JOIN next USING (id)
    WHERE status = 'PENDING' AND gate = 'queue' ORDER BY jobs.id FOR UPDATE OF jobs
), changed AS (
    UPDATE jobs SET gate = NULL, ready = true FROM locked WHERE jobs.id = locked.id RETURNING queue, ready, rank
), {PASSED}
"""
)

# What became ready before the queue was limited, or under a larger limit, goes back behind the gate, last come first.
HOLD_BACK: Final = text(
    LOCK
    + """
WITH crowded AS MATERIALIZED (
    SELECT name, max_running - (SELECT count(*) FROM jobs WHERE queue = name AND status = 'RUNNING') AS places
    FROM queues WHERE name = ANY(:names) AND max_running IS NOT NULL
), late AS MATERIALIZED (
    SELECT last.id FROM crowded CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE queue = crowded.name AND status = 'PENDING' AND ready
        ORDER BY rank, id OFFSET greatest(0, places) LIMIT :batch
    ) AS last
), locked AS MATERIALIZED (
    SELECT jobs.id FROM jobs JOIN late USING (id) WHERE status = 'PENDING' AND ready
    ORDER BY jobs.id FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET gate = 'queue', ready = false FROM locked WHERE jobs.id = locked.id
"""
)

BATCH: Final = 1000


def pass_keys(connection: Connection, keys: Collection[str]) -> dict[str, int]:
    """Let jobs of these concurrency keys pass while there are places; how many became ready, by queue.

    0 of a limited queue: they wait at its gate now, ask `pass_queues` next.
    """
    return _passed(connection.execute(PASS_KEYS, {"gate": "key:", "names": sorted(keys)}))


def pass_queues(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Let jobs of these queues pass while there are places; how many became ready, by queue."""
    return _passed(connection.execute(PASS_QUEUES, {"gate": "queue:", "names": sorted(names), "batch": BATCH}))


def hold_back(connection: Connection, names: Collection[str]) -> int:
    """Take ready jobs beyond the limits of these queues back behind the gate; how many. Running ones go on."""
    return connection.execute(HOLD_BACK, {"gate": "queue:", "names": sorted(names), "batch": BATCH}).rowcount


def _passed(rows: CursorResult[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in rows}


WAITING_KEYS: Final = text("""
WITH RECURSIVE keys AS (
    (SELECT concurrency_key AS key, 1 AS place FROM jobs
     WHERE status = 'PENDING' AND gate = 'key' AND concurrency_key > :after ORDER BY concurrency_key LIMIT 1)
    UNION ALL
    SELECT next.key, place + 1 FROM keys CROSS JOIN LATERAL (
        SELECT concurrency_key AS key FROM jobs
        WHERE status = 'PENDING' AND gate = 'key' AND concurrency_key > keys.key ORDER BY concurrency_key LIMIT 1
    ) AS next WHERE place < :limit
)
SELECT key FROM keys
""")


def waiting_keys(connection: Connection, after: str = "", limit: int = BATCH) -> list[str]:
    """Keys at whose gate jobs wait, in order, the first `limit` after this one."""
    return [row[0] for row in connection.execute(WAITING_KEYS, {"after": after, "limit": limit})]


LIMITED: Final = text("""
SELECT name FROM queues WHERE max_running IS NOT NULL
   OR EXISTS (SELECT FROM jobs WHERE queue = name AND status = 'PENDING' AND gate = 'queue')
ORDER BY name
""")


def limited(connection: Connection) -> list[str]:
    """Queues that have a limit, or had one that held back jobs."""
    return [row[0] for row in connection.execute(LIMITED)]
