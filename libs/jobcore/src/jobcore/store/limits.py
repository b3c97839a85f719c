"""Limits of concurrency keys: a job is blocked until its key has a free permit for it.

    accepted or due ──▶ blocked ──▶ ready ──▶ RUNNING ──▶ ended: its permit is free
                        until its key
                        has a permit

A job with a rate key is blocked once more, by its rate limit (store/start_permits.py), before it is ready.

A job takes a permit when it becomes ready. It keeps the permit until its run has ended, or until it waits for its time
again. Permits are counted and never stored, so no counter can drift. At most `max_running` jobs of a key have a permit,
so counting them reads as many entries of a small index. Whoever unblocks jobs of a key holds the transaction lock of
that key and counts in a later statement than the one that took the lock: a statement that waits for a lock does not
see what was committed while it waited.

Whoever frees permits unblocks jobs at once (`unblock`). Every second the keeper looks for keys that have both blocked
jobs and free permits (`blocked_keys`), so a lost request costs a second. It locks no other keys, because each lock
takes room in a table that all sessions of PostgreSQL share.

The column `gate` of a job says what blocks it: it is `key`, or NULL for a job that is not blocked. Version 0.1 also
wrote `queue`. The limit of a queue blocks no job: claims count the running jobs (store/claims.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import key_locks
from jobcore.store.key_locks import BATCH
from jobcore.store.low_ranks import LOWER
from jobcore.store.prepared import ORDERED

LOCK: Final = key_locks.lock("key")

BLOCKED_BY: Final = "CASE WHEN coalesce(concurrency_key, rate_key) IS NOT NULL AND gate IS NULL THEN 'key' END"
"""What blocks a row of `jobs` that is due and has no permit: `key`, or NULL if the job has neither key.

A job that version 0.1 marked `queue` has its permit."""

BY_RATE: Final = "(concurrency_key IS NULL AND rate_key IS NOT NULL)"
"""Whether the rate key is the first to block a row of `jobs` that is due and has no permit.

It becomes `rate_blocked`, which says by which key a job is blocked while `gate` is `key`, and nothing otherwise."""

BLOCKED_FOR_START: Final = """
gate = CASE WHEN {waits} AND rate_key IS NOT NULL THEN 'key' END, rate_blocked = rate_key IS NOT NULL
"""
"""Assignments for a run that goes back to its queue, if `waits`: its rate key blocks it, because each run needs a
permit. It keeps the permit of its concurrency key."""

BLOCKED: Final = "CASE WHEN gate = 'key' THEN status END = 'PENDING'"
"""Whether a row of `jobs` is blocked, for statements that look by queue: written as in the index `jobs_held`.

Statements that look by key say `status = 'PENDING' AND gate = 'key'`, as the index `jobs_at_key` does. If both said the
same, the planner could use either index for either question, and one of the two ways reads the whole index. The planner
cannot tell which one while its statistics are older than the blocked jobs."""

HAS_PERMIT: Final = """
concurrency_key IS NOT NULL AND (
    (status = 'PENDING' AND (ready OR gate = 'queue' OR (gate = 'key' AND rate_blocked))) OR status = 'RUNNING'
    OR (status = 'CANCELLED' AND cancel_stopped_at IS NULL))
"""
"""Whether a row of `jobs` has a permit of its concurrency key."""

AT_KEY: Final = "status = 'PENDING' AND gate = 'key' AND NOT rate_blocked"
"""Whether a row of `jobs` is blocked by its concurrency key. Those that their rate key blocks are as few as permits."""

NOT_BEGUN: Final = "status = 'PENDING' AND (ready OR (gate = 'key' AND rate_blocked))"
"""Whether a row of `jobs` with a permit of its concurrency key can lose it again."""

UNBLOCK: Final = text(
    ORDERED
    + LOCK
    + f"""
WITH free AS MATERIALIZED (
    SELECT key, coalesce(max_running, 1) - (
        SELECT count(*) FROM jobs WHERE concurrency_key = key AND {HAS_PERMIT}
    ) AS permits
    FROM unnest(CAST(:names AS text[])) AS key LEFT JOIN key_limits USING (key)
), next AS MATERIALIZED (
    SELECT first.id FROM free CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE concurrency_key = free.key AND {AT_KEY}
        ORDER BY rank, id LIMIT greatest(0, least(permits, {BATCH} / cardinality(CAST(:names AS text[]))))
    ) AS first
), locked AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, status, gate, rate_blocked FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM next)) ORDER BY id
        -- keeps the conditions outside: with them inside, an index of the blocked jobs could be read as a whole
        OFFSET 0
        FOR UPDATE
    ) AS found WHERE {AT_KEY}
), changed AS (
    UPDATE jobs SET ready = rate_key IS NULL, {BLOCKED_FOR_START.format(waits="true")}
    WHERE id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING queue, ready, rank, rate_key
), used AS (
    UPDATE key_limits SET used_at = now() WHERE key = ANY(:names) AND used_at < now() - interval '1 day'
), {LOWER}
SELECT queue, count(*) FILTER (WHERE ready) AS jobs,
       coalesce(array_agg(DISTINCT rate_key) FILTER (WHERE NOT ready), '{{}}') AS rate_keys
FROM changed GROUP BY queue
"""
)


@dataclass(frozen=True, slots=True)
class Unblocked:
    """How many jobs became ready, by queue, and the rate keys that block other jobs now."""

    queues: Mapping[str, int]
    rate_keys: frozenset[str]


def unblock(connection: Connection, keys: Collection[str]) -> Unblocked:
    """Give blocked jobs of these concurrency keys their permits, in order of rank, as long as there are some.

    Takes at most `key_locks.MAX_KEYS` keys.
    """
    rows = connection.execute(UNBLOCK, {"names": sorted(keys)}).all()
    rate_keys = frozenset(key for row in rows for key in row.rate_keys)
    return Unblocked({row.queue: row.jobs for row in rows if row.jobs}, rate_keys)


BLOCK_EXCESS: Final = f"""
-- waits for claims that are about to take one of these jobs
SELECT FROM jobs WHERE concurrency_key = :key AND {HAS_PERMIT} AND {NOT_BEGUN} ORDER BY id FOR UPDATE;
WITH excess AS MATERIALIZED (
    SELECT id FROM jobs WHERE concurrency_key = :key AND {HAS_PERMIT} AND {NOT_BEGUN}
    ORDER BY rank, id OFFSET greatest(0, coalesce((SELECT max_running FROM key_limits WHERE key = :key), 1) - (
        SELECT count(*) FROM jobs WHERE concurrency_key = :key AND {HAS_PERMIT} AND NOT ({NOT_BEGUN})
    ))
)
UPDATE jobs SET gate = 'key', rate_blocked = false, ready = false WHERE id = ANY(ARRAY(SELECT id FROM excess));
"""
"""Blocks jobs of the key `:key` that exceed its limit and have not begun, the last by rank first.

It follows `LOCK` and the change of the limit in the same string."""


BLOCKED_KEYS: Final = text(f"""{ORDERED}
WITH RECURSIVE keys AS (
    (SELECT concurrency_key AS key, 1 AS position FROM jobs
     WHERE {AT_KEY} AND concurrency_key > :after ORDER BY concurrency_key LIMIT 1)
    UNION ALL
    SELECT next.key, position + 1 FROM keys CROSS JOIN LATERAL (
        SELECT concurrency_key AS key FROM jobs
        WHERE {AT_KEY} AND concurrency_key > keys.key ORDER BY concurrency_key LIMIT 1
    ) AS next WHERE position < :limit
), seen AS MATERIALIZED (
    SELECT key, position,
           coalesce((SELECT max_running FROM key_limits WHERE key_limits.key = keys.key), 1)
           > (SELECT count(*) FROM jobs WHERE concurrency_key = keys.key AND {HAS_PERMIT}) AS has_permits
    FROM keys
)
SELECT ARRAY(SELECT key FROM seen WHERE has_permits ORDER BY key) AS with_permits,
       (SELECT key FROM seen WHERE position = :limit) AS last
""")


@dataclass(frozen=True, slots=True)
class BlockedKeys:
    """Keys that have blocked jobs and free permits.

    `last` is the last key with blocked jobs that was read; None if there are no more of them.
    """

    keys: list[str]
    last: str | None


def blocked_keys(connection: Connection, after: str = "", limit: int = 1000) -> BlockedKeys:
    """Read the first `limit` keys after `after`, in order, that have blocked jobs, and return those with permits."""
    row = connection.execute(BLOCKED_KEYS, {"after": after, "limit": limit}).one()
    return BlockedKeys(row.with_permits, row.last)
