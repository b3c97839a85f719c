"""Expiry: jobs that did not start before their `expires_at` fail."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.models import Change
from jobcore.store import changes
from jobcore.store.changes import SELECT_CHANGES
from jobcore.store.prepared import ORDERED
from jobcore.store.transactions import DURABLE

EXPIRE: Final = text(
    DURABLE
    + ORDERED
    + f"""
WITH due AS MATERIALIZED (
    SELECT id FROM jobs WHERE status = 'PENDING' AND expires_at <= now() AND started_at IS NULL
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
), changed AS (
    UPDATE jobs SET status = 'FAILED', ready = false, gate = NULL, finished_at = now(), last_seq = last_seq + 1,
        error = jsonb_build_object('kind', 'expired', 'type', 'Expired', 'attempt', attempt,
                                   'message', 'it was not started before its expires_at')
    WHERE id = ANY(ARRAY(SELECT id FROM due))
    RETURNING id, task_type, queue, concurrency_key, status, ready, last_seq, attempt, now() AS at,
              jsonb_build_object('status', status, 'error', error) AS data
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
)
{SELECT_CHANGES}
"""
)


def expire(connection: Connection, limit: int = 1000) -> list[Change]:
    """Fail up to `limit` jobs that did not start before their `expires_at`, in order of that time."""
    return changes.read(connection.execute(EXPIRE, {"limit": limit}))
