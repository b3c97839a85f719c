"""Follow a job: first its stored events after a cursor, then live events, without a gap.

    subscribe ─▶ read what is stored after the cursor ─▶ live events ─┐
                     ▲                                                │ a gap, or the check found events
                     └────────────────────────────────────────────────┘

PostgreSQL has all events. A live event is only a hint: it is passed on if its seq is the next one; otherwise the events
in between are read from PostgreSQL first. Progress without a seq is passed on at once. `longrun_api.stream_check` finds
events whose live event was lost. The last event is the terminal one; if the job was retried after a terminal event,
that event carries `retried` and the stream continues.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final
from uuid import UUID

from jobcore.errors import StoreUnavailable
from jobcore.models import Event
from jobcore.store import event_pages
from longrun_api.event_frames import RECONNECT_MS, frame
from longrun_api.runtime import Runtime

PAGE_EVENTS: Final = 200
PAGE_BYTES: Final = 64 * 1024


async def frames(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[bytes]:
    """The events as an event stream (WHATWG HTML, section 9.2)."""
    retry_ms: int | None = RECONNECT_MS
    async with aclosing(follow_events(runtime, job_id, cursor)) as found:
        async for event in found:
            yield frame(event, retry_ms)
            retry_ms = None


async def follow_events(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[Event]:
    """Yield each event after `cursor` once, in order, as it happens."""
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
    """Yield the stored events after the cursor; stop if PostgreSQL is unavailable: a later check reads the rest."""
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
