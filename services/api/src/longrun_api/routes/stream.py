"""`GET /tasks/{id}/stream`: a task's events as they happen (Server-Sent Events)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response

from jobcore.errors import FieldError, InvalidInput
from jobcore.store import event_pages
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
        200: {"description": "The events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "The task ended and every event was seen: do not reconnect"},
        **problem_responses(404, 422, 503),
    },
)
async def stream_task(
    request: Request,
    task_id: TaskId,
    after: Annotated[str | None, Query(description="Start after this seq; absent: from the beginning.")] = None,
    last_event_id: Annotated[str | None, Header(description="The id last seen; wins over `after`.")] = None,
) -> Response:
    """Replay what happened after the cursor, then follow live; the stream ends after the terminal `state` event.

    `id` is the event's seq (absent on live-only progress), `event` is state, progress, log or checkpoint, `data` JSON.
    """
    name, text = ("after", after) if last_event_id is None else ("Last-Event-ID", last_event_id)
    cursor = seq(name, text)
    runtime = runtime_of(request)
    end = await runtime.database.call(event_pages.end, task_id)
    if end is None:
        raise not_found(task_id)
    if cursor > end.seq:
        raise InvalidInput(FieldError(name, f"is ahead of the task, whose last event is {end.seq}"))
    if end.over and cursor == end.seq:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    stall_s = runtime.settings.stream_stall_s
    return EventStream(frames(runtime, task_id, cursor), runtime.stream_backlog, runtime.keepalive, stall_s)


def seq(name: str, text: str | None) -> int:
    """The cursor in a header or parameter; InvalidInput names it."""
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and int(text) <= MAX_SEQ:
        return int(text)
    raise InvalidInput(FieldError(name, "must be the id of an event of this stream, a whole number from 0"))
