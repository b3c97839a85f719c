"""Task ids in paths."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from jobcore.errors import JobNotFound
from jobcore.store import ownership
from longrun_api.callers import owner_of
from longrun_api.runtime import runtime_of

IdInPath = Annotated[
    str, Path(description="The `task_id` that `POST /tasks` returned.", json_schema_extra={"format": "uuid"})
]


async def task_id(request: Request, task_id: IdInPath) -> UUID:
    """The id in the path; raises JobNotFound if it is not a UUID, or not that of a task of the caller's owner.

    Routes learn a task from here alone, so the tasks of other owners do not exist for any of them.
    """
    try:
        found = UUID(task_id)
    except ValueError:
        raise not_found(task_id) from None
    owner = owner_of(request)
    if owner is not None and not await runtime_of(request).database.call(ownership.owns, owner, found):
        raise not_found(found)
    return found


TaskId = Annotated[UUID, Depends(task_id)]


def not_found(task_id: UUID | str) -> JobNotFound:
    """The error for an unknown id; it shows what an id looks like."""
    return JobNotFound(
        f"no task has the id {str(task_id)[:100]!r}; ids are UUIDs such as 019a5e0c-7c5e-7b6f-9c53-2f6d8a3b1e47, "
        "as returned by POST /tasks and GET /tasks"
    )
