"""`GET /tasks/{id}/output`: the pieces that a task has emitted so far."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.models.caller import Scope
from jobcore.store import event_pages, events
from longrun_api import paging
from longrun_api.auth.scopes import needs
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas_output import OutputPage, Piece
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])


class OutputQuery(BaseModel):
    """Which pieces to return."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(
        0, ge=0, lt=2**63, description="Only pieces with a larger `seq`: pass `next_after` of the previous page."
    )
    limit: int = Field(200, ge=1, le=1000, description="Maximum number of pieces in the page.")


@router.get("/{task_id}/output", response_model=OutputPage, responses=problem_responses(404, 422, 503))
@needs(Scope.READ)
async def get_task_output(request: Request, task_id: TaskId, query: Annotated[OutputQuery, Query()]) -> Response:
    """Get the output of a task in order, of all its attempts. A page holds at most 4 MiB.

    If there are no further pieces, `next_after` equals `after`. `/stream` sends them as they happen.
    """
    database = runtime_of(request).database

    def rows(connection: Any, after: int, limit: int) -> list[tuple[int, bytes]]:
        found = [Piece.of(event) for event in events.output(connection, task_id, after, limit)]
        return [(piece.seq, piece.model_dump_json().encode()) for piece in found]

    page = await paging.read(lambda last, limit: database.call(rows, last or query.after, limit), query.limit)
    if not page.items and await database.call(event_pages.end, task_id) is None:
        raise not_found(task_id)
    return page.response(next_after=page.last or query.after)
