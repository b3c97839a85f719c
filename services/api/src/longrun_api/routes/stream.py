"""`GET /tasks/{id}/stream`: the events of a task as they happen (Server-Sent Events)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response

from jobcore.errors import FieldError, InvalidInput
from jobcore.models.caller import Scope
from jobcore.store import event_pages
from longrun_api.auth.scopes import needs
from longrun_api.callers import owner_of
from longrun_api.event_stream import EventStream
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.task_events import frames
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])

MAX_SEQ: Final = 2**63 - 1


@router.get(
    "/{task_id}/stream",
    response_class=Response,
    responses={
        200: {
            "description": "The events of the task",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The task has ended and the client has received every event: do not reconnect"},
        **problem_responses(404, 422, 429, 503),
    },
)
@needs(Scope.READ)
async def stream_task(
    request: Request,
    task_id: TaskId,
    after: Annotated[
        str | None, Query(description="Start after the event with this `seq`; by default, from the beginning.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event received; it takes precedence over `after`.")
    ] = None,
) -> Response:
    """Send the stored events after the cursor, then new ones as they happen, until the terminal `state` event.

    `id` is the event's `seq` (absent for progress that is only sent live), `event` is `state`, `progress`, `log`,
    `output` or `checkpoint`, and `data` is JSON.
    """
    name, text = ("after", after) if last_event_id is None else ("Last-Event-ID", last_event_id)
    cursor = seq(name, text)
    runtime = runtime_of(request)
    end = await runtime.database.call(event_pages.end, task_id)
    if end is None:
        raise not_found(task_id)
    if cursor > end.seq:
        raise InvalidInput(FieldError(name, f"must not exceed {end.seq}, the id of the task's last event"))
    if end.over and cursor == end.seq:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    stall_s, place = runtime.settings.stream_stall_s, runtime.stream_quota.place(owner_of(request))
    sent = frames(runtime, task_id, cursor)
    return EventStream(sent, runtime.stream_backlog, runtime.keepalive, stall_s, place=place)


def seq(name: str, text: str | None) -> int:
    """The cursor in a header or parameter; raises InvalidInput."""
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and int(text) <= MAX_SEQ:
        return int(text)
    raise InvalidInput(FieldError(name, "must be the id of an event of this stream: a whole number, 0 or larger"))
