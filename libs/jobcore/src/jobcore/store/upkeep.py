"""What the keeper asks of PostgreSQL beside queues and workers: lost runs, expiry, retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Change
from jobcore.store.claims import CHANGE, Release, changes
from jobcore.store.database import DURABLE
from jobcore.store.prepared import ORDERED

LOST: Final = text("""
SELECT jobs.id, jobs.fence FROM jobs LEFT JOIN workers ON workers.id = jobs.worker_id
WHERE jobs.status = 'RUNNING' AND (workers.id IS NULL OR workers.state IN ('dead', 'gone'))
ORDER BY jobs.id LIMIT :limit
""")


def lost(connection: Connection, limit: int = 500) -> list[Release]:
    """RUNNING jobs whose worker is dead, gone or unknown."""
    return [Release(row[0], row[1], "loss") for row in connection.execute(LOST, {"limit": limit})]


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
), story AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
)
{CHANGE}
"""
)


def expire(connection: Connection, limit: int = 1000) -> list[Change]:
    """Fail what was not started before its `expires_at`, the longest expired first."""
    return changes(connection.execute(EXPIRE, {"limit": limit}))


RETIRE: Final = text(
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
), story AS (
    DELETE FROM job_events WHERE job_id = ANY(ARRAY(SELECT id FROM old))
), steps AS (
    DELETE FROM job_steps WHERE job_id = ANY(ARRAY(SELECT id FROM old))
), gone AS (
    DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id
)
SELECT (SELECT count(*) FROM gone), (SELECT id FROM seen ORDER BY id DESC LIMIT 1)
"""
)


@dataclass(frozen=True, slots=True)
class Retired:
    """How many jobs were deleted, and the last one that was looked at: None when there are no more."""

    jobs: int
    last: UUID | None


def retire(connection: Connection, after: UUID, before: UUID, age_s: float, limit: int = 500) -> Retired:
    """Look at the `limit` jobs that follow `after`, up to `before`, a UUIDv7 of the time `age_s` seconds ago.

    Those that ended so long ago are deleted, with events and steps.
    """
    parameters = {"after": after, "before": before, "age_s": age_s, "limit": limit}
    return Retired(*connection.execute(RETIRE, parameters).one())


FORGET_TURNS: Final = text("""
WITH old AS MATERIALIZED (
    -- a minute: an intake that has not committed yet has an older now()
    SELECT queue, key FROM fair_turns WHERE next_rank < now() - interval '1 minute'
    LIMIT :limit FOR UPDATE SKIP LOCKED
)
DELETE FROM fair_turns USING old WHERE fair_turns.queue = old.queue AND fair_turns.key = old.key
""")


def forget_turns(connection: Connection, limit: int = 5000) -> int:
    """Delete the turns of fairness keys that are long over: such a key begins at now() with its row or without."""
    return connection.execute(FORGET_TURNS, {"limit": limit}).rowcount
