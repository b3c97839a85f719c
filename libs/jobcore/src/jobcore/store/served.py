"""What active workers can run: the queues that they serve, and the task types that they know there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.models import Cause
from jobcore.store.ready_jobs import OF_ANY_TYPE, OF_TYPE, TYPE_OF_QUEUE

KNOWN: Final = """
known AS MATERIALIZED (
    -- a worker of version 0.1 names no types, and runs any
    SELECT DISTINCT queue AS name, task_type
    FROM workers CROSS JOIN LATERAL unnest(queues) AS queue
    CROSS JOIN LATERAL unnest(coalesce(task_types, CAST(ARRAY[NULL] AS text[]))) AS task_type
    WHERE state = 'active'
)
"""
"""A CTE: the task types that active workers know, by the queues that they serve; NULL stands for any type."""


@dataclass(frozen=True, slots=True)
class Served:
    """The task types that active workers know in each queue that they serve; None stands for any type."""

    types: Mapping[str, frozenset[str | None]]

    def lacks(self, queue: str, task_type: str) -> Cause | None:
        """Why no active worker can run such a job; None if one can."""
        known = self.types.get(queue)
        if known is None:
            return Cause.QUEUE_NOT_SERVED
        return None if task_type in known or None in known else Cause.TASK_TYPE_UNKNOWN


_NEXT: Final = f"""
SELECT jobs.queue, jobs.task_type FROM jobs
WHERE {OF_ANY_TYPE} AND {TYPE_OF_QUEUE} > {{last}} ORDER BY {TYPE_OF_QUEUE} LIMIT 1
"""
UNSERVED: Final = f"""(
    WITH RECURSIVE kind AS (
        ({_NEXT.format(last="ARRAY[chosen.name]")})
        UNION ALL
        SELECT next.queue, next.task_type
        FROM kind CROSS JOIN LATERAL ({_NEXT.format(last="ARRAY[kind.queue, kind.task_type]")}) AS next
        WHERE kind.queue = chosen.name
    )
    SELECT count(*) FROM (
        SELECT FROM kind CROSS JOIN LATERAL (
            SELECT FROM jobs WHERE {OF_TYPE.format(queue="chosen.name", task_type="kind.task_type")}
            AND rank >= chosen.low_rank LIMIT :limit
        ) AS one
        WHERE kind.queue = chosen.name AND NOT EXISTS (
            SELECT FROM known
            WHERE known.name = chosen.name AND (known.task_type IS NULL OR known.task_type = kind.task_type)
        ) LIMIT :limit
    ) AS seen
)"""
"""How many ready jobs of `chosen`, a row of `queues`, no active worker can run; needs `KNOWN`.

One look into an index finds each task type of the queue's ready jobs, so jobs that a worker can run are not read."""

READ: Final = text(f"WITH {KNOWN} SELECT name, array_agg(task_type) AS types FROM known GROUP BY name")


def read(connection: Connection) -> Served:
    """What active workers can run now."""
    return Served({row.name: frozenset(row.types) for row in connection.execute(READ)})
