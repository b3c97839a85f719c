"""`GET /tasks/{id}/stream`: a task's events as they happen (Server-Sent Events)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse

from jobcore.errors import FieldError, InvalidInput
from jobcore.store import events
from longrun_api.openapi import problem_responses
from longrun_api.routes.tasks import TaskId, find
from longrun_api.runtime import runtime_of
from longrun_api.streams import frames

router = APIRouter(prefix="/tasks", tags=["tasks"])

HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Proxies must pass each event on at once, and as it is."""
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
    cursor = seq("after", after) if last_event_id is None else seq("Last-Event-ID", last_event_id)
    if await nothing_left(request, task_id, cursor):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return EventSourceResponse(frames(runtime_of(request), task_id, cursor), headers=HEADERS)


def seq(name: str, text: str | None) -> int:
    """The cursor in a header or parameter; InvalidInput names it."""
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and int(text) <= MAX_SEQ:
        return int(text)
    raise InvalidInput(FieldError(name, "must be the id of an event of this stream, a whole number from 0"))


async def nothing_left(request: Request, task_id: UUID, cursor: int) -> bool:
    """Whether the task's story is over and ends at or before the cursor; JobNotFound if there is no such task."""
    last_seen = await runtime_of(request).database.call(events.after, task_id, max(0, cursor - 1), 2)
    if last_seen:
        return last_seen[-1].terminal and last_seen[-1].seq == cursor
    job = await find(request, task_id)
    if not job.ended:
        raise InvalidInput(FieldError("Last-Event-ID", f"is ahead of the task, whose last event is {job.last_seq}"))
    return True
