"""Rollups: the keeper counts the events of all jobs in the order of the feed, each exactly once.

The cursor and the counts change in one transaction, behind a lock that all keepers share. So an event is counted once
whatever a keeper dies of, and a new keeper goes on where the last one stopped. A step reads some events and their jobs
by key; nothing grows with the history.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from jobcore.models.rollups import RANGES, Count, Span
from jobcore.store.feed import HORIZON, IN_FEED
from jobcore.store.prepared import ORDERED
from jobcore.store.ready_jobs import DUE_AT
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

LOCK: Final = 0x6C6F6E67_02
"""The key of the advisory lock of whoever counts."""
QUEUES: Final = 100
"""Of how many queues the rollups of one time and owner tell; jobs of others are in the sums of all queues."""
EVERY: Final = ""
"""The owner, or the queue, of the rollups of all of them."""

SPANS: Final = ", ".join(
    f"('{span}', interval '{span.length.total_seconds()} s', interval '{span.kept.total_seconds()} s')" for span in Span
)
BEGIN: Final = "date_bin({length}, {at}, timestamptz 'epoch')"
RANGE: Final = f"""
CAST(least({RANGES - 1}, floor(2 * ln(greatest(1, 1000 * date_part('epoch', took))) / ln(2))) AS smallint)"""
"""The range of the duration `took`, as `Rollup.percentile` reads it."""

COUNT: Final = text(
    f"""{DURABLE}{ORDERED}
SELECT pg_advisory_xact_lock({LOCK});
WITH place AS MATERIALIZED (
    -- behind the horizon only in a database that was restored from another server's dump: it begins anew
    SELECT CASE WHEN txid > {HORIZON} THEN {HORIZON} ELSE txid END AS txid, job_id, seq
    FROM rollup_cursor WHERE only_one
), event AS MATERIALIZED (
    SELECT found.* FROM place CROSS JOIN LATERAL (
        SELECT txid, job_id, seq, at, attempt, kind, data ->> 'status' AS status, data ->> 'reason' AS reason
        FROM job_events
        WHERE {IN_FEED} AND txid >= place.txid AND txid < {HORIZON}
          AND (txid, job_id, seq) > (place.txid, place.job_id, place.seq)
        ORDER BY txid, job_id, seq LIMIT :limit
    ) AS found
), seen AS MATERIALIZED (
    SELECT minute, owner, queue, what, {RANGE} AS range, count(*) AS jobs,
           CASE WHEN took IS NULL THEN NULL WHEN what IS NULL THEN 'wait' ELSE 'run' END AS timed
    FROM (
        SELECT {BEGIN.format(length="interval '1 min'", at="event.at")} AS minute,
               coalesce(owner, '{EVERY}') AS owner, queue,
               CASE WHEN event.seq = 1 THEN 'submitted'
                    WHEN event.status = 'PENDING' AND event.reason IS DISTINCT FROM 'handed_back' THEN 'retried'
                    WHEN event.status = 'SUCCESS' THEN 'succeeded'
                    WHEN event.status = 'FAILED' THEN 'failed'
                    WHEN event.status = 'CANCELLED' THEN 'cancelled' END AS what,
               -- a job that is retried meanwhile no longer has the times of this run
               CASE WHEN event.status = 'RUNNING' AND event.at = started_at AND job.status <> 'PENDING'
                    THEN started_at - due_at
                    WHEN event.status IN ('SUCCESS', 'FAILED') AND event.at = finished_at
                    THEN finished_at - started_at END AS took
        FROM event CROSS JOIN LATERAL (
            SELECT owner, queue, started_at, finished_at, status, {DUE_AT} AS due_at FROM jobs
            WHERE id = event.job_id LIMIT 1
        ) AS job
        WHERE event.kind = 'state'
    ) AS one GROUP BY minute, owner, queue, what, timed, range
), happened AS MATERIALIZED (
    SELECT minute, owner, queue, what, CAST(0 AS smallint) AS range, jobs FROM seen WHERE what IS NOT NULL
    UNION ALL SELECT minute, owner, queue, timed, range, jobs FROM seen WHERE timed IS NOT NULL
), summed AS MATERIALIZED (
    SELECT span, begin, coalesce(owner, '{EVERY}') AS owner, coalesce(queue, '{EVERY}') AS queue, what, range,
           CAST(sum(jobs) AS bigint) AS jobs
    FROM happened CROSS JOIN (VALUES {SPANS}) AS spans (span, length, kept)
    CROSS JOIN LATERAL (SELECT {BEGIN.format(length="length", at="minute")} AS begin) AS one
    WHERE begin > now() - kept
    GROUP BY GROUPING SETS ((span, begin, what, range), (span, begin, what, range, queue),
                            (span, begin, what, range, owner), (span, begin, what, range, owner, queue))
    -- what has no owner is in the sums of all owners only
    HAVING grouping(owner) = 1 OR owner <> '{EVERY}'
), named AS (
    SELECT *, row_number() OVER (PARTITION BY span, begin, owner, known ORDER BY queue) AS number
    FROM (SELECT DISTINCT span, begin, owner, queue FROM summed WHERE queue <> '{EVERY}') AS one
    -- no EXISTS, which may be planned as a look at the whole table
    CROSS JOIN LATERAL (SELECT count(*) > 0 AS known FROM (
        SELECT FROM rollups
        WHERE (rollups.span, at, rollups.owner, rollups.queue) = (one.span, begin, one.owner, one.queue) LIMIT 1
    ) AS row) AS found
), told AS (
    SELECT span, begin, owner, queue FROM named
    WHERE CASE WHEN known THEN true WHEN number <= {QUEUES} THEN number + (
        SELECT count(DISTINCT rollups.queue) FROM rollups
        WHERE (rollups.span, at, rollups.owner) = (named.span, begin, named.owner) AND rollups.queue <> '{EVERY}'
    ) <= {QUEUES} END
    UNION ALL SELECT DISTINCT span, begin, owner, '{EVERY}' FROM summed
), counted AS (
    INSERT INTO rollups AS stored (span, at, owner, queue, what, range, jobs)
    SELECT span, begin, owner, queue, what, range, jobs FROM summed JOIN told USING (span, begin, owner, queue)
    ORDER BY span, begin, owner, queue, what, range
    ON CONFLICT (span, at, owner, queue, what, range) DO UPDATE SET jobs = stored.jobs + excluded.jobs
), moved AS (
    UPDATE rollup_cursor SET txid = reached.txid, job_id = reached.job_id, seq = reached.seq FROM (
        (SELECT txid, job_id, seq FROM event ORDER BY txid DESC, job_id DESC, seq DESC LIMIT 1)
        UNION ALL SELECT txid, job_id, seq FROM place LIMIT 1
    ) AS reached
    WHERE only_one AND (rollup_cursor.txid, rollup_cursor.job_id, rollup_cursor.seq)
        <> (reached.txid, reached.job_id, reached.seq)
)
SELECT count(*) FROM event
"""
)


def count(connection: Connection, limit: int) -> int:
    """Count the next `limit` events of the feed; returns how many there were."""
    return int(connection.execute(COUNT, {"limit": limit}).scalar_one())


FORGET: Final = text(f"""{DURABLE}{ORDERED}
DELETE FROM rollups WHERE (span, at, owner, queue, what, range) IN (
    SELECT old.* FROM (VALUES {SPANS}) AS spans (name, length, kept) CROSS JOIN LATERAL (
        SELECT span, at, owner, queue, what, range FROM rollups WHERE span = name AND at < now() - kept - length
        ORDER BY span, at LIMIT :limit
    ) AS old LIMIT :limit
)
""")


def forget(connection: Connection, limit: int) -> int:
    """Delete at most `limit` rows that are no longer kept; returns how many there were."""
    return connection.execute(FORGET, {"limit": limit}).rowcount


_COUNTS: Final = Rows(Count)
READ: Final = text(f"""{ORDERED}
SELECT {_COUNTS.columns} FROM unnest(CAST(:times AS timestamptz[])) AS wanted (time) CROSS JOIN LATERAL (
    SELECT at, what, range, jobs FROM rollups WHERE span = :span AND at = time AND owner = :owner AND queue = :queue
) AS found
""")
NOW: Final = text(f"""
SELECT {BEGIN.format(length="CAST(:length AS interval)", at="now()")} AS now
""")


def times(connection: Connection, span: Span, number: int) -> list[datetime]:
    """When the latest `number` rollups begin, by PostgreSQL's clock; the last one is under way."""
    latest: datetime = connection.execute(NOW, {"length": span.length}).scalar_one()
    return [latest - back * span.length for back in reversed(range(number))]


def read(
    connection: Connection, span: Span, number: int, owner: str | None, queue: str | None
) -> dict[datetime, list[Count]]:
    """The counts of the latest `number` rollups by the time at which they begin; None: of all owners, or queues."""
    found: dict[datetime, list[Count]] = {at: [] for at in times(connection, span, number)}
    wanted = {"span": span, "times": list(found), "owner": owner or EVERY, "queue": queue or EVERY}
    for each in _COUNTS.read(connection.execute(READ, wanted)):
        found[each.at].append(each)
    return found
