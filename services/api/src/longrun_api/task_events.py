"""Following a job: its stored story from a cursor on, then live, without a gap (design: "Follow").

    subscribe ─▶ read what is stored after the cursor ─▶ live hints ──┐
                     ▲                                                │ a gap, or the check found more
                     └────────────────────────────────────────────────┘

PostgreSQL has the truth. A live event is a hint: it is passed on only if its seq is the next one, otherwise the gap is
read first. Progress without a seq is passed on as it comes. `longrun_api.stream_check` finds what no hint told. The
story ends after the terminal event; one after which the job was retried is no end, and says so: `retried`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final
from uuid import UUID

from fastapi.sse import format_sse_event

from jobcore.errors import StoreUnavailable
from jobcore.models import Event
from jobcore.store import event_pages, json_text
from longrun_api.runtime import Runtime
from longrun_api.schemas import rfc3339

RECONNECT_MS: Final = 1000
PAGE_EVENTS: Final = 200
PAGE_BYTES: Final = 64 * 1024


async def frames(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[bytes]:
    """The story as an event stream (WHATWG HTML, section 9.2)."""
    retry_ms: int | None = RECONNECT_MS
    async with aclosing(follow_events(runtime, job_id, cursor)) as found:
        async for event in found:
            yield frame(event, retry_ms)
            retry_ms = None


def frame(event: Event, retry_ms: int | None) -> bytes:
    """One event; without an id if it is live only, so that a client resumes at the last stored one.

    `retry_ms` goes along with the first event: some clients take a block without data for an event.
    """
    data = {"seq": event.seq, "at": rfc3339(event.at), "attempt": event.attempt, **event.data}
    seq = None if event.seq is None else str(event.seq)
    return format_sse_event(id=seq, event=event.kind, data_str=json_text.dumps(data), retry=retry_ms)


async def follow_events(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[Event]:
    """Each event after `cursor` once, in order, as it happens."""
    shutdown = runtime.shutdown
    async with runtime.live_events.subscribe(job_id) as subscription:
        while not shutdown.begun:
            subscription.behind = False
            async for event in stored_events(runtime, job_id, cursor):
                yield event
                if event.terminal:
                    return
                cursor = event.seq or cursor
            while not shutdown.begun:
                subscription.cursor = cursor
                hint = None
                with shutdown.interrupts():
                    hint = await subscription.next()
                if hint is None:
                    pass
                elif hint.seq is None:
                    yield hint
                elif hint.seq == cursor + 1:
                    yield hint
                    if hint.terminal:
                        return
                    cursor = hint.seq
                if subscription.behind or (hint and hint.seq and hint.seq > cursor + 1):
                    break


async def stored_events(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[Event]:
    """What PostgreSQL has after the cursor, page by page; nothing while it is away: the next check finds it."""
    end: Event | None = None
    page_is_full = True
    while page_is_full and not runtime.shutdown.begun:
        try:
            page = await runtime.database.call(
                event_pages.page, job_id, cursor, max_events=PAGE_EVENTS, max_bytes=PAGE_BYTES
            )
        except StoreUnavailable:
            return
        for event in page.events:
            if end:
                yield replace(end, data={**end.data, "retried": True})
            end = event if event.terminal else None
            if not end:
                yield event
            cursor = event.seq or cursor
        page_is_full = page.full
    if end:
        yield end
