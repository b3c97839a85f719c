"""Deleting a queue that nobody uses: no job that has not ended is in it, and no worker serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.jobs import INTAKES
from jobcore.store.prepared import ORDERED
from jobcore.store.queue_limits import OCCUPIED
from jobcore.store.queues import EMPTY
from jobcore.store.transactions import DURABLE


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion found: whether the queue was `empty`, and how many `workers` serve it.

    The queue was deleted if it was empty and no worker serves it.
    """

    empty: bool
    workers: int


# The lock waits for every intake that may have seen the queue and has not committed, and lets no other begin meanwhile.
# So the DELETE sees all jobs of the queue, and a later intake creates it again.
DELETE: Final = text(
    DURABLE
    + ORDERED
    + f"""
SET LOCAL lock_timeout = '500ms';
SELECT pg_advisory_xact_lock({INTAKES});
WITH {OCCUPIED}, seen AS MATERIALIZED (
    SELECT name, {EMPTY} AS empty, (
        SELECT count(*) FROM workers WHERE state IN ('active', 'draining') AND name = ANY(workers.queues)
    ) AS workers
    FROM queues WHERE name = :name
), deleted AS (
    DELETE FROM queues WHERE name IN (SELECT name FROM seen WHERE empty AND workers = 0)
)
SELECT empty, workers FROM seen
"""
)


def delete(connection: Connection, name: str) -> Deletion | None:
    """Delete a queue with its pause and its limit, if it is empty and no worker serves it; None if there is none.

    Fails with a lock timeout (SQLSTATE 55P03) if an intake takes longer than half a second.
    """
    row = connection.execute(DELETE, {"name": name}).first()
    return None if row is None else Deletion(row.empty, row.workers)
