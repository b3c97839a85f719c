"""SQL about the limits of queues: how many permits a queue has left, and what excludes claims while a limit changes."""

from __future__ import annotations

from typing import Final

from jobcore.store.starts import QUEUE_PERMITS

STOPPING: Final = """
(SELECT queue FROM jobs WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL LIMIT 1000)
"""
"""The queues of cancelled runs that have not stopped.

There are few. The limit is for the planner, which would expect a part of the history: it multiplies the share of
cancelled jobs by the share of jobs without a stop."""

OCCUPIED: Final = f"""
occupied AS MATERIALIZED (
    SELECT queue, count(*) AS taken, count(*) FILTER (WHERE running) AS running FROM (
        SELECT queue, true AS running FROM jobs WHERE status = 'RUNNING'
        UNION ALL SELECT queue, false FROM {STOPPING} AS stopping
    ) AS begun GROUP BY queue
)
"""
"""A CTE: how many jobs of each queue run, and how many permits are taken. Cancelled runs that still stop take one."""

PERMITS: Final = f"""
least(CASE WHEN max_running IS NOT NULL
      THEN greatest(0, max_running - coalesce((SELECT taken FROM occupied WHERE queue = name), 0)) END,
      {QUEUE_PERMITS.format(now="now()")})
"""
"""How many more jobs of a row of `queues` may start now by its limits; needs `OCCUPIED`. NULL without a limit."""

TAKEN: Final = f"""(
    (SELECT count(*) FROM jobs WHERE queue = name AND status = 'RUNNING')
    + (SELECT count(*) FROM {STOPPING} AS stopping WHERE queue = name)
)"""
"""How many permits of one row of `queues` are taken."""

LOCK_KEY: Final = "hashtextextended('claim:' || name, 0)"
"""The key of the advisory lock of a row of `queues`.

Claims of a queue and a change of the queue exclude each other: once a pause or a limit is committed, no claim goes by
the old state. Claims of a queue without a limit share the lock. Claims of a limited queue take it alone, one after the
other, because each counts the taken permits, or the starts within the window of the rate limit."""

LOCK_FOR_CLAIM: Final = f"""
SELECT CASE WHEN coalesce(max_running, max_starts) IS NULL THEN CAST(pg_advisory_xact_lock_shared({LOCK_KEY}) AS text)
            ELSE CAST(pg_advisory_xact_lock({LOCK_KEY}) AS text) END FROM queues WHERE name = :queue
"""
"""Takes the lock for a claim of `:queue`. The claim is a later statement, which sees what the lock waited for."""

LOCK_FOR_CHANGE: Final = f"""
-- waits for the claims under way
SELECT pg_advisory_xact_lock({LOCK_KEY}) FROM (SELECT CAST(:name AS text) AS name) AS queue;
"""
"""Takes the lock for a change of the queue `:name`."""
