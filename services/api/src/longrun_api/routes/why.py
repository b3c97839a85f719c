"""`GET /tasks/{id}/why`: why a task does not run."""

from __future__ import annotations

from fastapi import APIRouter, Request

from jobcore.models.caller import Scope
from jobcore.store import why
from longrun_api.auth.scopes import needs
from longrun_api.callers import owner_of
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas_why import TaskWhy
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("/{task_id}/why", responses=problem_responses(404, 503))
@needs(Scope.READ)
async def get_task_why(request: Request, task_id: TaskId) -> TaskWhy:
    """Get the one cause why a task does not run now, since when, what would let it run, and when it may start."""
    found = await runtime_of(request).database.call(why.explain, task_id, owner_of(request))
    if found is None:
        raise not_found(task_id)
    return TaskWhy.of(task_id, found)
