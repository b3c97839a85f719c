"""Suspected jobs: their runs may have ended a child, so they run again beside fewer others, at last alone.

A run that was suspected n times shares its child with runs that fill at most a 4ⁿth of its places (`places`). So the
group around a job that ends its child each time shrinks until it is the only one, and the others finish.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.room import LANE

FEWER_BITS: Final = 2
"""Each time a run was suspected, the places that it may share are halved so many times."""
ALONE: Final = 1000
"""More often than any job is suspected: an empty child takes it however often it was."""

_SHIFT_MAX: Final = 31
"""PostgreSQL shifts an integer by the rest of a division by 32."""


def places(size: int, suspected: int) -> int:
    """How many of a child's `size` places may be taken while one of its runs was suspected so often."""
    return max(1, size >> FEWER_BITS * suspected)


def _places(suspected: str) -> str:
    """SQL: `places` of a child of a row of `workers`."""
    return f"greatest(1, jobs_per_child >> least({_SHIFT_MAX}, {FEWER_BITS} * {suspected}))"


NEEDS_FEWER_RUNS: Final = text(f"""{ORDERED}
WITH job AS MATERIALIZED (SELECT queue, task_type, suspected FROM jobs WHERE id = :id), offers AS (
    SELECT {_places("job.suspected")} AS below, children < concurrency OR some_child AS takes
    FROM job CROSS JOIN workers CROSS JOIN LATERAL (
        SELECT count(*) AS children, coalesce(bool_or(NOT on_main AND taken < {_places("most")}), false) AS some_child
        FROM (
            SELECT count(*) AS taken, bool_or({LANE} = 'process') AS on_main,
                   greatest(max(running.suspected), job.suspected) AS most
            FROM jobs AS running WHERE worker_id = workers.id AND status = 'RUNNING' GROUP BY slot
        ) AS children
    ) AS children
    WHERE state = 'active' AND job.queue = ANY(queues) AND (task_types IS NULL OR job.task_type = ANY(task_types))
)
SELECT max(below) FROM offers HAVING NOT bool_or(takes)
""")


def needs_fewer_runs_than(connection: Connection, job_id: UUID) -> int | None:
    """A child must have fewer runs than this to take a suspected job, and none has; None if some child can take it."""
    found: int | None = connection.execute(NEEDS_FEWER_RUNS, {"id": job_id}).scalar()
    return found
