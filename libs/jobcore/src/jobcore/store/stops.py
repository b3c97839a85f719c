"""Cancelled jobs that may still run: who must stop what, and the receipt of how it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.database import DURABLE


@dataclass(frozen=True, slots=True)
class Stopping:
    """A cancelled run that has not been seen to stop."""

    id: UUID
    fence: int
    slot: int


STOPPING: Final = text("""
SELECT id, fence, slot FROM jobs
WHERE worker_id = :worker_id AND status = 'CANCELLED' AND cancel_stopped_at IS NULL LIMIT 1000
""")


def stopping(connection: Connection, worker_id: UUID) -> list[Stopping]:
    """The cancelled runs that this worker still has to stop."""
    return [Stopping(*row) for row in connection.execute(STOPPING, {"worker_id": worker_id})]


ACKNOWLEDGE: Final = text(
    DURABLE
    + """
UPDATE jobs SET cancel_acknowledged_at = now()
WHERE id = :id AND fence = :fence AND status = 'CANCELLED' AND cancel_acknowledged_at IS NULL
"""
)


def acknowledge(connection: Connection, job_id: UUID, fence: int) -> None:
    """Note that the worker knows of the cancel."""
    connection.execute(ACKNOWLEDGE, {"id": job_id, "fence": fence})


@dataclass(frozen=True, slots=True)
class Stopped:
    """A cancelled run that stopped, and how: `cooperative`, `signal`, `kill` or `finished` (it ended by itself)."""

    id: UUID
    fence: int
    method: str


STOPPED: Final = text(
    DURABLE
    + """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:stops AS jsonb)) AS given (id uuid, fence bigint, method text)
), locked AS MATERIALIZED (
    SELECT jobs.id, given.method FROM jobs JOIN given ON given.id = jobs.id AND given.fence = jobs.fence
    WHERE jobs.status = 'CANCELLED' AND jobs.cancel_stopped_at IS NULL ORDER BY jobs.id FOR UPDATE OF jobs
)
UPDATE jobs SET cancel_acknowledged_at = coalesce(cancel_acknowledged_at, now()), cancel_stopped_at = now(),
                cancel_method = locked.method
FROM locked WHERE jobs.id = locked.id
"""
)


def stopped(connection: Connection, stops: list[Stopped]) -> None:
    """Complete the receipts of cancelled runs that are over."""
    if stops:
        connection.execute(STOPPED, {"stops": json_text.rows(stops)})


ORPHANED: Final = text(
    DURABLE
    + """
WITH orphaned AS MATERIALIZED (
    SELECT jobs.id FROM jobs LEFT JOIN workers ON workers.id = jobs.worker_id
    WHERE jobs.status = 'CANCELLED' AND jobs.cancel_stopped_at IS NULL
      AND (workers.id IS NULL OR workers.state IN ('dead', 'gone'))
    -- in the order of the one index that has only these: in order of id, the planner would read the history for them
    ORDER BY jobs.worker_id LIMIT 500 FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET cancel_acknowledged_at = coalesce(cancel_acknowledged_at, now()), cancel_stopped_at = now(),
                cancel_method = 'worker_lost'
FROM orphaned WHERE jobs.id = orphaned.id
"""
)


def close_orphaned(connection: Connection) -> int:
    """Complete the receipts of cancelled runs whose worker is dead or gone; returns how many."""
    return connection.execute(ORPHANED).rowcount
