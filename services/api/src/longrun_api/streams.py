"""Following a job: its stored story from a cursor on, then live, without a gap (design: "Follow").

    subscribe ─▶ read what is stored after the cursor ─▶ live hints ──┐
                     ▲                                                │ a gap, or nothing for a while
                     └────────────────────────────────────────────────┘

PostgreSQL has the truth. A live event is a hint: it is passed on only if its seq is the next one, otherwise the gap is
read first. Progress without a seq is passed on as it comes. The story ends after the terminal event; one after which
the job was retried is no end, and says so: `retried`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import zip_longest
from typing import Final
from uuid import UUID

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from jobcore.errors import StoreUnavailable
from jobcore.models import Event
from jobcore.store import documents, events
from longrun_api.runtime import Runtime
from longrun_api.schemas import rfc3339

POLL_S: Final = 5.0
POLL_WITHOUT_REDIS_S: Final = 2.0
PING_S: Final = 10.0
"""After so many quiet seconds the next look at PostgreSQL sends a comment: one at least every 15 s."""
RECONNECT_MS: Final = 1000
PAGE: Final = 200


async def frames(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[bytes]:
    """The story as an event stream (WHATWG HTML, section 9.2)."""
    retry_ms: int | None = RECONNECT_MS
    sent_at = time.monotonic()
    async for event in story(runtime, job_id, cursor):
        if event is not None:
            yield frame(event, retry_ms)
            retry_ms = None
        elif time.monotonic() - sent_at >= PING_S:
            yield KEEPALIVE_COMMENT
        else:
            continue
        sent_at = time.monotonic()


def frame(event: Event, retry_ms: int | None) -> bytes:
    """One event; without an id if it is live only, so that a client resumes at the last stored one.

    `retry_ms` goes along with the first event: some clients take a block without data for an event.
    """
    data = {"seq": event.seq, "at": rfc3339(event.at), "attempt": event.attempt, **event.data}
    seq = None if event.seq is None else str(event.seq)
    return format_sse_event(id=seq, event=event.kind, data_str=documents.dumps(data), retry=retry_ms)


async def story(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[Event | None]:
    """Each event after `cursor` once, in order, as it happens; None when nothing did for a while."""
    shutdown = runtime.shutdown
    async with runtime.live.subscribe(job_id) as subscription:
        while not shutdown.begun:
            async for event in stored(runtime, job_id, cursor):
                yield event
                if event.terminal:
                    return
                cursor = event.seq or cursor
            poll_at = time.monotonic() + (POLL_S if subscription.connected else POLL_WITHOUT_REDIS_S)
            while (left_s := poll_at - time.monotonic()) > 0:
                hint = None
                with shutdown.interrupts():
                    hint = await subscription.next(left_s)
                if hint is None or (hint.seq is not None and hint.seq > cursor + 1):
                    break
                if hint.seq is None:
                    yield hint
                elif hint.seq == cursor + 1:
                    yield hint
                    if hint.terminal:
                        return
                    cursor = hint.seq
            yield None


async def stored(runtime: Runtime, job_id: UUID, cursor: int) -> AsyncGenerator[Event]:
    """What PostgreSQL has after the cursor, page by page; nothing while it is away: the next look finds it."""
    page_is_full = True
    while page_is_full and not runtime.shutdown.begun:
        try:
            page = await runtime.database.call(events.after, job_id, cursor, PAGE + 1)
        except StoreUnavailable:
            return
        for event, next_event in zip_longest(page[:PAGE], page[1:]):
            retried = event.terminal and next_event is not None
            yield replace(event, data={**event.data, "retried": True}) if retried else event
            cursor = event.seq or cursor
        page_is_full = len(page) > PAGE
