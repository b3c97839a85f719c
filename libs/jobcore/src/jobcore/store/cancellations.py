"""Cancelled jobs whose runs may still be under way: which runs a worker must stop, and the receipt of each cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.transactions import DURABLE


@dataclass(frozen=True, slots=True)
class OpenCancel:
    """A cancelled run that may still be under way: its receipt is not complete."""

    id: UUID
    fence: int
    slot: int


OPEN: Final = text("""
SELECT id, fence, slot FROM jobs
WHERE worker_id = :worker_id AND status = 'CANCELLED' AND cancel_stopped_at IS NULL LIMIT 1000
""")


def open_cancels(connection: Connection, worker_id: UUID) -> list[OpenCancel]:
    """The cancelled runs that this worker still has to stop, at most 1,000."""
    rows = connection.execute(OPEN, {"worker_id": worker_id})
    return [OpenCancel(row.id, row.fence, row.slot) for row in rows]


ACKNOWLEDGE: Final = text(
    DURABLE
    + """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:begun AS jsonb)) AS given (id uuid, fence bigint)
), locked AS MATERIALIZED (
    SELECT jobs.id FROM jobs JOIN given ON given.id = jobs.id AND given.fence = jobs.fence
    WHERE jobs.status = 'CANCELLED' AND jobs.cancel_acknowledged_at IS NULL ORDER BY jobs.id FOR UPDATE OF jobs
)
UPDATE jobs SET cancel_acknowledged_at = now() FROM locked WHERE jobs.id = locked.id
"""
)


def acknowledge(connection: Connection, begun: Sequence[OpenCancel]) -> None:
    """Store in the receipts that the worker knows of these cancels."""
    connection.execute(ACKNOWLEDGE, {"begun": json_text.rows(begun)})


@dataclass(frozen=True, slots=True)
class CompletedCancel:
    """A cancelled run that has ended, and how.

    `method` is `cooperative`, `signal`, `kill`, `worker_lost`, or `finished` for a run that ended by itself.
    """

    id: UUID
    fence: int
    method: str


COMPLETE: Final = text(
    DURABLE
    + """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:completed AS jsonb)) AS given (id uuid, fence bigint, method text)
), locked AS MATERIALIZED (
    SELECT jobs.id, given.method FROM jobs JOIN given ON given.id = jobs.id AND given.fence = jobs.fence
    WHERE jobs.status = 'CANCELLED' AND jobs.cancel_stopped_at IS NULL ORDER BY jobs.id FOR UPDATE OF jobs
)
UPDATE jobs SET cancel_acknowledged_at = coalesce(cancel_acknowledged_at, now()), cancel_stopped_at = now(),
                cancel_method = locked.method
FROM locked WHERE jobs.id = locked.id RETURNING jobs.id
"""
)


def complete(connection: Connection, completed: Sequence[CompletedCancel]) -> list[UUID]:
    """Complete the receipts of cancelled runs that have ended, and return their jobs; others stay as they are."""
    if not completed:
        return []
    return list(connection.execute(COMPLETE, {"completed": json_text.rows(completed)}).scalars())


ORPHANED: Final = text(
    DURABLE
    + """
WITH orphaned AS MATERIALIZED (
    SELECT jobs.id FROM jobs LEFT JOIN workers ON workers.id = jobs.worker_id
    WHERE jobs.status = 'CANCELLED' AND jobs.cancel_stopped_at IS NULL
      AND (workers.id IS NULL OR workers.state IN ('dead', 'gone'))
    -- in the order of the one index that has only these rows: for the order of id, the planner would read the history
    ORDER BY jobs.worker_id LIMIT 500 FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET cancel_acknowledged_at = coalesce(cancel_acknowledged_at, now()), cancel_stopped_at = now(),
                cancel_method = 'worker_lost'
FROM orphaned WHERE jobs.id = orphaned.id RETURNING jobs.id
"""
)


def complete_orphaned(connection: Connection) -> list[UUID]:
    """Complete the receipts of cancelled runs whose worker is dead or gone, of at most 500; returns their jobs."""
    return list(connection.execute(ORPHANED).scalars())
