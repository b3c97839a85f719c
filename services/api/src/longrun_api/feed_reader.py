"""One reader of the feed: what is stored after its cursor first, then what its channel gets.

    cursor before channel.since ── read a page of PostgreSQL ──▶ cursor further on
    otherwise                   ── wait for the channel ───────▶ cursor further on

Positions have one order, so the cursor alone says what the reader lacks: wherever it reads, it gets each event once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import anyio

from jobcore.errors import StoreUnavailable
from jobcore.models import FeedFilter, FeedPosition
from jobcore.store import feed
from longrun_api.event_feed import PAGE_BYTES, PAGE_EVENTS, Channel
from longrun_api.event_frames import RECONNECT_MS
from longrun_api.feed_frames import cursor_frame, event_frame
from longrun_api.runtime import Runtime

SENT_BYTES: Final = 64 * 1024
"""The most bytes that are sent at once, unless one event is larger."""
RETRY_S: Final = 2.0
"""Seconds until a reader tries again to read PostgreSQL."""


class FeedReader:
    """Yields frames after a cursor; `ping` says how far a reader that waits has come."""

    def __init__(self, runtime: Runtime, wanted: FeedFilter, cursor: FeedPosition, now: FeedPosition) -> None:
        self._runtime = runtime
        self._wanted = wanted
        self._cursor = self._own = cursor
        self._now = now
        self._waits_for: asyncio.Event | None = None

    async def frames(self) -> AsyncGenerator[bytes]:
        """The event stream (WHATWG HTML, section 9.2); its first event is the cursor from which it starts."""
        shutdown = self._runtime.shutdown
        with self._runtime.event_feed.channel(self._wanted, self._now) as channel:
            yield cursor_frame(self._own, RECONNECT_MS)
            while not (shutdown.begun or channel.broken):
                if self._cursor < channel.since:
                    page = await self._page()
                    if page is not None and self._cursor.txid <= page.deleted:
                        return  # its client comes back, and is told that events were deleted
                    frames = b"" if page is None else self._taken(page)
                else:
                    frames = await self._from(channel)
                if frames:
                    yield frames

    def ping(self) -> bytes:
        """What keeps an idle connection open: how far the feed was read, without an event for this reader."""
        position, news = self._runtime.event_feed.position, self._waits_for
        if position is not None and news is not None and not news.is_set():
            self._cursor = max(self._cursor, position)
        return cursor_frame(self._shown)

    @property
    def _shown(self) -> FeedPosition:
        """The cursor to send when there is no event: it names none of the jobs that are kept from this reader.

        A reader that continues there has the last event that it got, or looks through the last transaction again.
        """
        return max(self._own, FeedPosition(self._cursor.txid))

    async def _from(self, channel: Channel) -> bytes:
        news = channel.news
        frames, self._cursor = channel.after(self._cursor, SENT_BYTES)
        if frames:
            self._own = self._cursor
        else:
            self._waits_for = news
            with self._runtime.shutdown.interrupts():
                await news.wait()
            self._waits_for = None
        return frames

    async def _page(self) -> feed.FeedPage | None:
        """The next page of what is stored; None if PostgreSQL is away: a reader that was sent away might give up."""
        try:
            return await self._runtime.database.call(
                feed.page, self._wanted, self._cursor, candidates=PAGE_EVENTS, max_bytes=PAGE_BYTES
            )
        except StoreUnavailable:
            with self._runtime.shutdown.interrupts():
                await anyio.sleep(RETRY_S)
            return None

    def _taken(self, page: feed.FeedPage) -> bytes:
        self._cursor = page.reached
        if page.events:
            self._own = page.events[-1].position
        return b"".join(map(event_frame, page.events)) or cursor_frame(self._shown)
