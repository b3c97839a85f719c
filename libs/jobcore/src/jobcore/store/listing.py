"""Pages of jobs, the newest first, of a status, a task type and a schedule, in any combination."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, TextClause, text

from jobcore.models import Job
from jobcore.states import Status
from jobcore.store.jobs import SUMMARY, from_row
from jobcore.store.prepared import ORDERED

TYPES: Final = """
WITH RECURSIVE types AS (
    (SELECT task_type FROM jobs WHERE {among} ORDER BY task_type LIMIT 1)
    UNION ALL
    SELECT next.task_type FROM types CROSS JOIN LATERAL (
        SELECT task_type FROM jobs WHERE {among} AND task_type > types.task_type ORDER BY task_type LIMIT 1
    ) AS next
)
"""
"""A CTE: the task types of jobs. Each is found by one index lookup, and there are few, however many jobs there are."""

NEWEST: Final = """
SELECT {summary} FROM jobs WHERE id = ANY(ARRAY(
    SELECT id FROM {types} AS type CROSS JOIN unnest(CAST(:statuses AS text[])) AS wanted CROSS JOIN LATERAL (
        -- with equal type and status as conditions, the planner might read the whole history in order of id
        SELECT task_type, status, id FROM jobs
        WHERE {among} AND (task_type, status, id) < (type.task_type, wanted, CAST(:before AS uuid))
        ORDER BY task_type DESC, status DESC, id DESC LIMIT :limit
    ) AS newest
    WHERE newest.task_type = type.task_type AND newest.status = wanted
    ORDER BY id DESC LIMIT :limit
)) ORDER BY id DESC
"""

EVERY: Final = text(f"SELECT {SUMMARY} FROM jobs WHERE id < :before ORDER BY id DESC LIMIT :limit")


def _narrowed(*, one_type: bool, one_schedule: bool) -> TextClause:
    among = "schedule_id = :schedule_id" if one_schedule else "true"
    types = "(SELECT CAST(:task_type AS text) AS task_type)" if one_type else "types"
    listed = NEWEST.format(summary=SUMMARY, types=types, among=among)
    return text(ORDERED + (listed if one_type else TYPES.format(among=among) + listed))


BY_STATUS: Final = _narrowed(one_type=False, one_schedule=False)
BY_TYPE: Final = _narrowed(one_type=True, one_schedule=False)
BY_SCHEDULE: Final = _narrowed(one_type=False, one_schedule=True)
BY_SCHEDULE_AND_TYPE: Final = _narrowed(one_type=True, one_schedule=True)

END: Final = UUID(int=2**128 - 1)


def page(
    connection: Connection,
    *,
    limit: int,
    before: UUID | None = None,
    status: Status | None = None,
    task_type: str | None = None,
    schedule_id: UUID | None = None,
) -> list[Job]:
    """The newest `limit` jobs, without input and result; `before` is the last id of the page before (keyset).

    One index has the jobs of each type and status in order of id, and another has those of each schedule. The newest
    jobs of each wanted type and status are read there and merged, so a page costs the same whatever other jobs there
    are.
    """
    parameters = {
        "limit": limit,
        "before": before or END,
        "statuses": [status] if status else list(Status),
        "task_type": task_type,
        "schedule_id": schedule_id,
    }
    if schedule_id:
        statement = BY_SCHEDULE if task_type is None else BY_SCHEDULE_AND_TYPE
    elif task_type is not None:
        statement = BY_TYPE
    else:
        statement = BY_STATUS if status else EVERY
    return [from_row(row) for row in connection.execute(statement, parameters).mappings()]
