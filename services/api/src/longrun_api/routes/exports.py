"""`GET /tasks:export` and `GET /tasks/{id}/events`: history as newline-delimited JSON, of any length."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobcore.models import JobOrder
from jobcore.models.caller import Scope
from jobcore.store import event_pages
from longrun_api import exports, ndjson
from longrun_api.auth.scopes import needs
from longrun_api.callers import caller_of
from longrun_api.list_queries import FilterQuery, names_among
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas import Task
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])

FIELDS: Final = frozenset(Task.model_fields)


class ExportQuery(FilterQuery):
    """Which tasks to export, in which order, and with which members."""

    sort: Literal["created", "-created"] = Field(
        "created", description="By the time of creation, `-` for the latest first."
    )
    fields: Annotated[str, AfterValidator(names_among(FIELDS))] | None = Field(
        None,
        description="Only these members of each task, separated by commas. It is faster without `input`, `result` and "
        "`files`.",
        examples=["task_id,status,finished_at"],
    )
    after: UUID | None = Field(
        None, description="Only tasks behind this one in the order of the export: the `task_id` of the last line."
    )


@router.get(
    ":export",
    response_class=Response,
    responses={
        200: {"description": "A `Task` in each line", **ndjson.RESPONSE},
        **problem_responses(422, 503),
    },
)
@needs(Scope.READ)
async def export_tasks(request: Request, query: Annotated[ExportQuery, Query()]) -> Response:
    """Export the tasks that match every parameter, a line of JSON each, however many there are.

    The response is complete if it ends as HTTP says; a broken one continues with `after`. Lines may begin with spaces,
    and the last one may be blank.
    """
    export = exports.TaskExport(
        query.filter(caller_of(request)),
        JobOrder(descending=query.sort == "-created"),
        query.after,
        None if query.fields is None else set(query.fields.split(",")),
        request.scope.get("root_path", ""),
    )
    return await ndjson.response(request, export.pages(runtime_of(request)))


class EventQuery(BaseModel):
    """Which events to export."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(0, ge=0, lt=2**63, description="Only events with a larger `seq`: that of the last line.")


@router.get(
    "/{task_id}/events",
    response_class=Response,
    responses={
        200: {"description": "An event in each line", **ndjson.RESPONSE},
        **problem_responses(404, 422, 503),
    },
)
@needs(Scope.READ)
async def export_task_events(request: Request, task_id: TaskId, query: Annotated[EventQuery, Query()]) -> Response:
    """Export the stored events of a task, a line of JSON each, in order. `/stream` follows a task instead.

    The response is complete if it ends as HTTP says; a broken one continues with `after`.
    """
    runtime = runtime_of(request)
    if await runtime.database.call(event_pages.end, task_id) is None:
        raise not_found(task_id)
    return await ndjson.response(request, exports.events(runtime, task_id, query.after))
