"""Releases: claims that end without an outcome. Each carries the fence of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Change
from jobcore.store import changes, json_text
from jobcore.store.changes import SELECT_CHANGES
from jobcore.store.limits import BLOCKED_FOR_START
from jobcore.store.low_ranks import LOWER
from jobcore.store.transactions import DURABLE

Cause = Literal["handed_back", "suspected", "crash", "loss", "timeout"]


@dataclass(frozen=True, slots=True)
class Release:
    """A claim that ends without an outcome, and why.

    `handed_back`: the run never started, or a deploy stopped it; the job keeps its rank, and the try does not count.
    `suspected`: the same, because the child died and nobody knows which of several runs ended it; from now on the job
    runs beside fewer others. `crash`: the child of the run died while it ran the job. `loss`: the worker was lost
    through no fault of the job. `timeout`: the child was killed because the run took too long; the try counts.
    """

    id: UUID
    fence: int
    cause: Cause


RELEASE: Final = text(
    DURABLE
    + f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:releases AS jsonb)) AS given (id uuid, fence bigint, cause text)
), locked AS MATERIALIZED (
    SELECT jobs.id, CASE given.cause WHEN 'suspected' THEN 'handed_back' ELSE given.cause END AS cause,
           jobs.suspected + CAST(given.cause = 'suspected' AS integer) AS suspected,
           jobs.crashes + CAST(given.cause = 'crash' AS integer) AS crashes,
           jobs.losses + CAST(given.cause = 'loss' AS integer) AS losses
    FROM jobs JOIN given ON given.id = jobs.id AND given.fence = jobs.fence
    WHERE jobs.status = 'RUNNING' ORDER BY jobs.id FOR UPDATE OF jobs
), decided AS (
    SELECT locked.*, CASE locked.cause
        WHEN 'crash' THEN locked.crashes >= :max_crashes
        WHEN 'loss' THEN locked.losses >= :max_losses
        WHEN 'timeout' THEN
            jobs.attempt - jobs.earlier_attempts - jobs.crashes - jobs.losses >= jobs.max_attempts
        ELSE false END AS final
    FROM locked JOIN jobs ON jobs.id = locked.id
), changed AS (
    UPDATE jobs SET
        status = CASE WHEN final THEN 'FAILED' ELSE 'PENDING' END,
        ready = NOT final AND rate_key IS NULL,
        {BLOCKED_FOR_START.format(waits="NOT final")},
        rank = CASE WHEN cause = 'handed_back' THEN rank ELSE now() - priority * interval '60 s' END,
        attempt = attempt - CAST(cause = 'handed_back' AS integer),
        crashes = decided.crashes,
        losses = decided.losses,
        suspected = decided.suspected,
        worker_id = CASE WHEN final THEN worker_id END,
        slot = CASE WHEN final THEN slot END,
        finished_at = CASE WHEN final THEN now() END,
        error = CASE WHEN final THEN jsonb_build_object(
            'kind', CASE cause WHEN 'timeout' THEN 'timeout' ELSE 'worker_lost' END,
            'type', CASE cause WHEN 'timeout' THEN 'TimeoutError' ELSE 'WorkerLost' END,
            'attempt', attempt,
            'message', CASE cause
                WHEN 'crash' THEN format('its process died %s times while running it', decided.crashes)
                WHEN 'loss' THEN format('its worker was lost %s times', decided.losses)
                ELSE format('it ran longer than %s s and had to be killed', timeout_s) END) END,
        last_seq = last_seq + 1
    FROM decided
    WHERE jobs.id = decided.id
    RETURNING jobs.id, task_type, queue, concurrency_key, status, ready, last_seq, attempt, now() AS at, jobs.rank,
        jsonb_strip_nulls(jsonb_build_object('status', status, 'reason', cause, 'error', error)) AS data
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
), {LOWER}
{SELECT_CHANGES}
"""
)


def release(connection: Connection, releases: Sequence[Release], *, max_crashes: int, max_losses: int) -> list[Change]:
    """Return jobs to their queues, and return the transitions. Claims that have ended before have none.

    RUNNING → PENDING, or FAILED for a job that reached `max_crashes`, `max_losses` or its `max_attempts`.
    """
    if not releases:
        return []
    parameters = {"releases": json_text.rows(releases), "max_crashes": max_crashes, "max_losses": max_losses}
    return changes.read(connection.execute(RELEASE, parameters))
