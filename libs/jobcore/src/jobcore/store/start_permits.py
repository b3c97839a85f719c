"""Permits of rate keys: a job with a rate key is blocked until its key has a permit for its start.

    accepted, due or unblocked ──▶ blocked ──▶ ready ──▶ RUNNING: counts as a start for `window_s` seconds
    by its concurrency key         until its key
                                   has a permit

The permits of a key are counted: its ready jobs and its starts within the window (store/starts.py) have one each.
Whoever makes jobs of a key ready holds the transaction lock of that key, and counts in a later statement than the one
that took the lock. A claim replaces a ready job by a start, in one statement. So the starts within any window never
exceed the limit. Nothing is stored that could be lost with a process: a job that becomes ready and never runs keeps its
permit only for as long as it is ready.

A job has first the permit of its concurrency key, if it has one, and keeps it while its rate key blocks it. Each run
needs a permit of its own. A key without a limit has a permit for every job.

Jobs of a paused queue get no permit, and those of a queue that no worker serves only what others leave. If they have
permits that others need, they lose them (`reclaim`).
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
from jobcore.store.ready_jobs import CLAIMABLE
from jobcore.store.starts import next_start, of_key, started
from jobcore.store.transactions import DURABLE

BLOCKED: Final = "CASE WHEN gate = 'key' AND rate_blocked THEN status END = 'PENDING'"
"""Whether a row of `jobs` is blocked by its rate key, written as in the index `jobs_at_rate`."""

READY: Final = "CASE WHEN rate_key IS NOT NULL AND ready THEN status END = 'PENDING'"
"""Whether a row of `jobs` has a permit and has not started, written as in the index `jobs_ready_by_rate_key`."""

LOCK: Final = key_locks.lock("rate")

SERVED: Final = "EXISTS (SELECT FROM workers WHERE state = 'active' AND queue = ANY(queues))"
PAUSED: Final = "EXISTS (SELECT FROM queues WHERE name = queue AND paused)"

_NOW: Final = "(SELECT now FROM moment)"
MOMENT: Final = "moment AS MATERIALIZED (SELECT clock_timestamp() AS now)"
"""A CTE: the time at which the statement counts, which is after the locks of its transaction."""

USE: Final = f"""
SELECT key, max_starts, window_s, taken, max_starts - taken AS permits,
       CASE WHEN taken >= max_starts THEN CAST(greatest(0.0, coalesce(
           extract(epoch FROM {next_start(of_key("key"), _NOW, "taken")} - {_NOW}), window_s)) AS double precision)
       END AS next_in_s
FROM (
    SELECT key, max_starts, window_s,
           (SELECT count(*) FROM jobs WHERE rate_key = key AND {READY})
           + CASE WHEN max_starts IS NOT NULL THEN {started(of_key("key"), _NOW)} ELSE 0 END AS taken
    FROM {{keys}} LEFT JOIN rate_limits USING (key)
) AS used
"""
"""For each key: its limit, how many permits are taken and free, and in how many seconds a full limit has the next one.

If all its permits belong to ready jobs, no permit is free before the window has passed. `permits` is NULL without a
limit. Needs `MOMENT`."""

_LINE: Final = f"SELECT queue FROM jobs WHERE rate_key = {{key}} AND {BLOCKED} {{after}} ORDER BY queue LIMIT 1"
LINES: Final = f"""
lines AS (
    SELECT key, first.queue FROM given CROSS JOIN LATERAL ({_LINE.format(key="given.key", after="")}) AS first
    UNION ALL
    SELECT key, next.queue FROM lines CROSS JOIN LATERAL (
        {_LINE.format(key="lines.key", after="AND queue > lines.queue")}) AS next
)
"""
"""A CTE of WITH RECURSIVE: the queues in which each key of `given` has blocked jobs."""

UNBLOCK: Final = text(
    ORDERED
    + LOCK
    + f"""
WITH RECURSIVE {MOMENT}, given AS MATERIALIZED (
    SELECT key FROM unnest(CAST(:names AS text[])) AS key
), {LINES}, used AS MATERIALIZED ({USE.format(keys="given")}), free AS MATERIALIZED (
    SELECT key, permits AS all_permits, least(permits, {BATCH} / (SELECT count(*) FROM given)) AS permits, next_in_s
    FROM used
), next AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, permits, row_number() OVER (PARTITION BY key ORDER BY served DESC, rank, id) AS number
        FROM free JOIN (SELECT key, queue, {SERVED} AS served FROM lines WHERE NOT {PAUSED}) AS open_lines USING (key)
        CROSS JOIN LATERAL (
            SELECT id, rank FROM jobs
            WHERE rate_key = free.key AND queue = open_lines.queue AND {BLOCKED} AND {CLAIMABLE}
            ORDER BY rank, id LIMIT greatest(0, permits)
        ) AS first
    ) AS first WHERE number <= permits
), locked AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, status, gate, rate_blocked FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM next)) ORDER BY id
        OFFSET 0
        FOR UPDATE
    ) AS found WHERE {BLOCKED}
), changed AS (
    UPDATE jobs SET gate = NULL, ready = true WHERE id = ANY(ARRAY(SELECT id FROM locked))
    RETURNING queue, ready, rank, rate_key
), touched AS (
    UPDATE rate_limits SET used_at = now() WHERE key = ANY(:names) AND used_at < now() - interval '1 day'
), {LOWER}, unblocked AS (
    SELECT rate_key AS key, queue, count(*) AS jobs FROM changed GROUP BY rate_key, queue
)
SELECT key, queue, coalesce(jobs, 0) AS jobs, CASE
    WHEN all_permits <= 0 THEN next_in_s
    WHEN sum(jobs) OVER (PARTITION BY key) < permits THEN NULL
    WHEN permits < coalesce(all_permits, permits + 1) THEN 0
    -- the jobs took the last permits, so the oldest start is the first to free one
    ELSE (SELECT CAST(greatest(0.0, coalesce(extract(epoch FROM {next_start(of_key("key"), _NOW)} - {_NOW}), window_s))
                      AS double precision) FROM rate_limits WHERE rate_limits.key = free.key)
    END AS next_in_s
FROM free LEFT JOIN unblocked USING (key)
"""
)


@dataclass(frozen=True, slots=True)
class Unblocked:
    """How many jobs became ready, by queue, and in how many seconds each key without permits has the next one."""

    queues: Mapping[str, int]
    next_in_s: Mapping[str, float]


def unblock(connection: Connection, keys: Collection[str]) -> Unblocked:
    """Make blocked jobs of these rate keys ready, in order of rank, as long as there are permits.

    Takes at most `key_locks.MAX_KEYS` keys.
    """
    queues: dict[str, int] = {}
    next_in_s: dict[str, float] = {}
    for row in connection.execute(UNBLOCK, {"names": sorted(keys)}):
        if row.jobs:
            queues[row.queue] = queues.get(row.queue, 0) + row.jobs
        if row.next_in_s is not None:
            next_in_s[row.key] = row.next_in_s
    return Unblocked(queues, next_in_s)


BLOCK_EXCESS: Final = f"""
-- waits for claims that are about to take one of these jobs
SELECT FROM jobs WHERE rate_key = :key AND {READY} ORDER BY id FOR UPDATE;
WITH {MOMENT}, excess AS MATERIALIZED (
    SELECT id FROM rate_limits CROSS JOIN LATERAL (
        SELECT id FROM jobs WHERE rate_key = key AND {READY}
        ORDER BY rank, id OFFSET greatest(0, max_starts - {started(of_key("key"), _NOW)})
    ) AS late WHERE key = :key
)
UPDATE jobs SET gate = 'key', rate_blocked = true, ready = false WHERE id = ANY(ARRAY(SELECT id FROM excess));
"""
"""Blocks ready jobs of the key `:key` that exceed its limit, the last by rank first.

It follows `LOCK` and the change of the limit in the same string."""

WAITING: Final = text(f"""{ORDERED}
WITH RECURSIVE {MOMENT}, given AS (
    (SELECT rate_key AS key, 1 AS position FROM jobs
     WHERE {BLOCKED} AND rate_key > :after ORDER BY rate_key LIMIT 1)
    UNION ALL
    SELECT next.key, position + 1 FROM given CROSS JOIN LATERAL (
        SELECT rate_key AS key FROM jobs WHERE {BLOCKED} AND rate_key > given.key ORDER BY rate_key LIMIT 1
    ) AS next WHERE position < :limit
)
SELECT key, coalesce(next_in_s, 0) AS next_in_s FROM ({USE.format(keys="given")}) AS used ORDER BY key
""")


def waiting(connection: Connection, after: str = "", limit: int = 1000) -> dict[str, float]:
    """The first `limit` keys after `after` that have blocked jobs, and in how many seconds each has a permit."""
    rows = connection.execute(WAITING, {"after": after, "limit": limit})
    return {row.key: row.next_in_s for row in rows}


RECLAIM: Final = text(
    DURABLE
    + ORDERED
    + f"""
WITH RECURSIVE given AS MATERIALIZED (SELECT key FROM unnest(CAST(:names AS text[])) AS key), {LINES},
needy AS MATERIALIZED (
    SELECT DISTINCT key FROM lines WHERE NOT {PAUSED} AND {SERVED}
), idle AS MATERIALIZED (
    SELECT id FROM needy CROSS JOIN LATERAL (
        SELECT id, queue FROM jobs WHERE rate_key = key AND {READY} LIMIT {BATCH}
    ) AS with_permit WHERE {PAUSED} OR NOT {SERVED}
), locked AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, status, ready, rate_key FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM idle)) ORDER BY id
        OFFSET 0
        FOR UPDATE SKIP LOCKED
    ) AS found WHERE {READY}
)
UPDATE jobs SET gate = 'key', rate_blocked = true, ready = false WHERE id = ANY(ARRAY(SELECT id FROM locked))
"""
)


def reclaim(connection: Connection, keys: Collection[str]) -> int:
    """Block jobs of these keys again that cannot start (their queue is paused or not served), if others could.

    Returns how many.
    """
    return connection.execute(RECLAIM, {"names": sorted(keys)}).rowcount
