"""The gate of a concurrency key: what holds a job back from being ready while its key has no place for it.

    accepted or due ──▶ gate 'key' ──▶ ready ──▶ RUNNING ──▶ over: its place is free
                        a place of its
                        concurrency key

A job takes a place when it passes the gate, and keeps it until its run is over, or until it waits for its time again.
Places are counted, never stored, so no counter can drift: at most `max_running` jobs are past a gate, so the count
reads as many entries of a small index. Whoever lets jobs pass holds the gate's transaction lock and counts in a
statement of its own, after it has the lock: a count in the statement that waits would miss what was let through
meanwhile.

Letting pass is level-triggered: whoever sees places become free asks at once (`pass_keys`), and the keeper asks every
second for the keys that wait although there is a place (`waiting_keys`), so a lost request costs a second. It locks no
other key: each lock takes room in a table of PostgreSQL that all its sessions share.

The limit of a queue is no gate: the claim itself counts what runs (store/claims.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.claims import LOW_RANK
from jobcore.store.database import DURABLE
from jobcore.store.prepared import ORDERED

LOCK: Final = (
    DURABLE
    + """
-- in one order, so that two of them never wait for each other in a circle
SELECT pg_advisory_xact_lock(lock) FROM (
    SELECT DISTINCT hashtextextended('key:' || name, 0) AS lock FROM unnest(CAST(:names AS text[])) AS name
    ORDER BY lock
) AS locks;
"""
)
"""Held until the statement that follows in the same string has committed; that one sees all that is committed then."""

AT_ONCE: Final = 200
"""No call passes, and so locks, more keys."""
BATCH: Final = 5000
"""About so many jobs pass at most at a time."""

AHEAD: Final = "CASE WHEN concurrency_key IS NOT NULL AND gate IS NULL THEN 'key' END"
"""The gate ahead of a row of `jobs` that would otherwise be ready now."""

HELD: Final = "CASE WHEN gate = 'key' THEN status END = 'PENDING'"
"""Whether a row of `jobs` waits at the gate of its key, for what reads it by queue: as the index `jobs_held` has it.

What reads it by key says `status = 'PENDING' AND gate = 'key'`, as `jobs_at_key` does. If both said the same, either
index could answer either question, one of them by reading all of it; and the planner cannot tell which when its
statistics are older than what waits."""

HOLDS_A_PLACE: Final = """
concurrency_key IS NOT NULL AND ((status = 'PENDING' AND (ready OR gate = 'queue')) OR status = 'RUNNING'
    OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))
"""
"""Whether a row of `jobs` is past the gate of its key and not over."""

PASS_KEYS: Final = text(
    ORDERED
    + LOCK
    + f"""
WITH room AS MATERIALIZED (
    SELECT key, coalesce(max_running, 1) - (
        SELECT count(*) FROM jobs WHERE concurrency_key = key AND {HOLDS_A_PLACE}
    ) AS places
    FROM unnest(CAST(:names AS text[])) AS key LEFT JOIN key_limits USING (key)
), next AS MATERIALIZED (
    SELECT first.id FROM room CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE concurrency_key = room.key AND status = 'PENDING' AND gate = 'key'
        ORDER BY rank, id LIMIT greatest(0, least(places, {BATCH} / cardinality(CAST(:names AS text[]))))
    ) AS first
), locked AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, status, gate FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM next)) ORDER BY id
        -- keeps the conditions outside: with them inside, an index of what waits could be read as a whole
        OFFSET 0
        FOR UPDATE
    ) AS found WHERE status = 'PENDING' AND gate = 'key'
), changed AS (
    UPDATE jobs SET gate = NULL, ready = true WHERE id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING queue, ready, rank
), used AS (
    UPDATE key_limits SET used_at = now() WHERE key = ANY(:names) AND used_at < now() - interval '1 day'
), {LOW_RANK}
SELECT queue, count(*) FROM changed GROUP BY queue
"""
)


def pass_keys(connection: Connection, keys: Collection[str]) -> dict[str, int]:
    """Let jobs of these concurrency keys, at most `AT_ONCE`, pass while there are places.

    Returns how many became ready, by queue.
    """
    return {row[0]: row[1] for row in connection.execute(PASS_KEYS, {"names": sorted(keys)})}


CROWDED: Final = f"""
-- waits for the claims that are about to take one of these
SELECT FROM jobs WHERE concurrency_key = :key AND {HOLDS_A_PLACE} AND ready ORDER BY id FOR UPDATE;
WITH late AS MATERIALIZED (
    SELECT id FROM jobs WHERE concurrency_key = :key AND {HOLDS_A_PLACE} AND ready
    ORDER BY rank, id OFFSET greatest(0, coalesce((SELECT max_running FROM key_limits WHERE key = :key), 1) - (
        SELECT count(*) FROM jobs WHERE concurrency_key = :key AND {HOLDS_A_PLACE} AND NOT ready
    ))
)
UPDATE jobs SET gate = 'key', ready = false WHERE id = ANY(ARRAY(SELECT id FROM late));
"""
"""Takes jobs of a key that have not begun, last come first, back behind its gate when its limit is lower than before.

It follows `LOCK` and the change of the limit in one string."""


WAITING_KEYS: Final = text(f"""{ORDERED}
WITH RECURSIVE keys AS (
    (SELECT concurrency_key AS key, 1 AS place FROM jobs
     WHERE status = 'PENDING' AND gate = 'key' AND concurrency_key > :after ORDER BY concurrency_key LIMIT 1)
    UNION ALL
    SELECT next.key, place + 1 FROM keys CROSS JOIN LATERAL (
        SELECT concurrency_key AS key FROM jobs
        WHERE status = 'PENDING' AND gate = 'key' AND concurrency_key > keys.key ORDER BY concurrency_key LIMIT 1
    ) AS next WHERE place < :limit
), seen AS MATERIALIZED (
    SELECT key, place,
           coalesce((SELECT max_running FROM key_limits WHERE key_limits.key = keys.key), 1)
           > (SELECT count(*) FROM jobs WHERE concurrency_key = keys.key AND {HOLDS_A_PLACE}) AS has_room
    FROM keys
)
SELECT ARRAY(SELECT key FROM seen WHERE has_room ORDER BY key), (SELECT key FROM seen WHERE place = :limit)
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Keys at whose gate jobs wait although there is a place, and the last key that was looked at: None at the end."""

    keys: list[str]
    last: str | None


def waiting_keys(connection: Connection, after: str = "", limit: int = 1000) -> Waiting:
    """Look at the first `limit` keys after this one, in order, at whose gate jobs wait."""
    keys, last = connection.execute(WAITING_KEYS, {"after": after, "limit": limit}).one()
    return Waiting(keys, last)
