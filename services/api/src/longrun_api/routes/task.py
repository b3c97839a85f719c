"""`GET /tasks/{id}`: one task, at once or as soon as it has news."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from jobcore.models.caller import Scope
from longrun_api import versions, waited
from longrun_api.auth.scopes import needs
from longrun_api.long_polls import Until
from longrun_api.openapi import problem_responses
from longrun_api.schemas import Task
from longrun_api.task_ids import TaskId

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get(
    "/{task_id}",
    response_model=Task,
    responses={
        304: versions.KNOWN,
        **problem_responses(404, 412, 422, 503),
    },
)
@needs(Scope.READ)
async def get_task(
    request: Request,
    task_id: TaskId,
    wait: Annotated[
        float | None,
        Query(
            ge=0,
            allow_inf_nan=False,
            description="Answer when the task has ended, or has news, or after this number of seconds.",
        ),
    ] = None,
    after: Annotated[
        int | None,
        Query(
            ge=0,
            lt=2**63,
            description="With `wait`: answer as soon as the task has an event with a larger `seq`, ended or not.",
        ),
    ] = None,
    until: Annotated[
        Until,
        Query(
            description="With `wait`: `stopped` waits until the task has ended and its run has stopped, too, which a "
            "cancelled one has once `cancel.stopped_at` is set."
        ),
    ] = "ended",
    prefer: Annotated[list[str] | None, Header(description=waited.PREFER)] = None,
) -> Response:
    """Get a task. Until it has ended, `Retry-After` says how many seconds to wait before the next poll."""
    return await waited.task(request, task_id, prefer or (), wait, after, until)
