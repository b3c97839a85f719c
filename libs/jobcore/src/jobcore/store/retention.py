"""Retention: jobs that ended long ago are deleted, with their events and steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED

DELETE: Final = text(
    ORDERED
    + """
WITH seen AS MATERIALIZED (
    SELECT id FROM jobs WHERE id > :after AND id < :before ORDER BY id LIMIT :limit
), old AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE id = ANY(ARRAY(SELECT id FROM seen)) AND status IN ('SUCCESS', 'FAILED', 'CANCELLED')
      AND finished_at < now() - make_interval(secs => :age_s)
      AND (cancel_requested_at IS NULL OR cancel_stopped_at IS NOT NULL)
    ORDER BY id FOR UPDATE SKIP LOCKED
), events AS (
    DELETE FROM job_events WHERE job_id = ANY(ARRAY(SELECT id FROM old)) RETURNING txid
), noted AS (
    -- readers of all jobs' events must know what they can no longer get
    INSERT INTO deleted_events AS known (last_txid)
    SELECT txid FROM events WHERE txid IS NOT NULL ORDER BY txid DESC LIMIT 1
    ON CONFLICT (only_one) DO UPDATE SET last_txid = greatest(known.last_txid, excluded.last_txid)
), steps AS (
    DELETE FROM job_steps WHERE job_id = ANY(ARRAY(SELECT id FROM old))
), deleted AS (
    DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id
)
SELECT (SELECT count(*) FROM deleted) AS jobs, (SELECT id FROM seen ORDER BY id DESC LIMIT 1) AS last
"""
)


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many jobs were deleted, and the last job that was read: None if there are no more."""

    jobs: int
    last: UUID | None


def delete_ended(connection: Connection, after: UUID, before: UUID, age_s: float, limit: int = 500) -> Deleted:
    """Read the first `limit` jobs between two ids, and delete those that ended `age_s` seconds ago or earlier.

    `before` is a UUIDv7 of that time, because jobs with a higher id were accepted later. A cancelled job stays until
    its receipt is complete.
    """
    parameters = {"after": after, "before": before, "age_s": age_s, "limit": limit}
    row = connection.execute(DELETE, parameters).one()
    return Deleted(row.jobs, row.last)
