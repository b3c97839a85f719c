"""Task ids in paths."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from jobcore.errors import JobNotFound

IdInPath = Annotated[
    str, Path(description="The `task_id` that `POST /tasks` returned.", json_schema_extra={"format": "uuid"})
]


async def task_id(task_id: IdInPath) -> UUID:
    """The id in the path; raises JobNotFound if it is not a UUID."""
    try:
        return UUID(task_id)
    except ValueError:
        raise not_found(task_id) from None


TaskId = Annotated[UUID, Depends(task_id)]


def not_found(task_id: UUID | str) -> JobNotFound:
    """The error for an unknown id; it shows what an id looks like."""
    return JobNotFound(
        f"no task has the id {str(task_id)[:100]!r}; ids are UUIDs such as 019a5e0c-7c5e-7b6f-9c53-2f6d8a3b1e47, "
        "as returned by POST /tasks and GET /tasks"
    )
