"""`GET /events/stream`: the events of many tasks as they happen (Server-Sent Events)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from jobcore.errors import EventsDeleted, FieldError, InvalidInput
from jobcore.models.caller import Scope
from jobcore.store import feed
from longrun_api import feed_frames
from longrun_api.auth.scopes import needs
from longrun_api.callers import caller_of
from longrun_api.event_stream import EventStream
from longrun_api.feed_queries import FeedQuery
from longrun_api.feed_reader import FeedReader
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of

router = APIRouter(prefix="/events", tags=["tasks"])


@router.get(
    "/stream",
    response_class=Response,
    responses={
        200: {
            "description": "The events of the tasks",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problem_responses(410, 422, 429, 503),
    },
)
@needs(Scope.READ)
async def stream_events(
    request: Request,
    query: Annotated[FeedQuery, Query()],
    last_event_id: Annotated[
        str | None, Header(description="Id of the last event received; it takes precedence over `after`.")
    ] = None,
) -> Response:
    """Send the states and the progress of all tasks that match every parameter, from now on or after a cursor.

    The stream has no end. `event` is `state` or `progress`, or `cursor`, which only says how far the reader has come.
    `id` is the cursor behind the event, in one order for all tasks; it is valid with any filter.
    """
    runtime = runtime_of(request)
    name, text = ("Last-Event-ID", last_event_id) if last_event_id else ("after", query.after)
    start = None if text is None else feed_frames.position(name, text)
    now = await runtime.database.call(feed.head)
    if start is not None and start > now.position:
        raise InvalidInput(FieldError(name, "lies ahead of all events: it is of another database"))
    if start is not None and start.txid <= now.deleted:
        raise EventsDeleted(f"{name}: events after this cursor were deleted; read GET /tasks, and start without it")
    caller = caller_of(request)
    reader = FeedReader(runtime, query.filter(caller), start or now.position, now.position)
    stall_s, place = runtime.settings.stream_stall_s, runtime.stream_quota.place(caller.owner)
    return EventStream(reader.frames(), runtime.stream_backlog, runtime.keepalive, stall_s, reader.ping, place)
