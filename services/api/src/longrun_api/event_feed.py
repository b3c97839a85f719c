"""Read the events of all jobs once for all streams of this process, and only while there are such streams.

    PostgreSQL ── a page after the position ──▶ EventFeed ── frames ──▶ Channel of each filter ──▶ its readers

Redis says when there is news. Without it, and in case that a message was lost, the feed is read every few seconds. A
reader waits for its channel and costs nothing meanwhile. One that continues from an old cursor, or that is so slow that
its channel has dropped what it lacks, reads PostgreSQL itself until it has caught up (`longrun_api.feed_reader`).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobcore.broker.live_events import LiveEvents, Subscription
from jobcore.errors import StoreUnavailable
from jobcore.models import FeedEvent, FeedFilter, FeedPosition
from jobcore.store import feed
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase
from longrun_api.feed_frames import event_frame
from longrun_api.stream_check import CHECK_S, CHECK_WITHOUT_REDIS_S

PAGE_EVENTS: Final = 500
PAGE_BYTES: Final = 256 * 1024
KEPT_BYTES: Final = 128 * 1024
"""The bytes that a channel keeps for readers that are a little behind."""
GAP_S: Final = 0.02
"""The shortest pause between two reads, in seconds, so that many events at once are one page."""
HELD_S: Final = 0.05
LONGEST_HELD_S: Final = 1.0
"""The pauses before events are read again that wait for older transactions: doubled while nothing becomes readable."""
EVERYTHING: Final = FeedFilter()

log = logs.get(__name__)


class Channel:
    """The latest frames of one filter; whoever has everything up to `since` finds the rest here."""

    def __init__(self, since: FeedPosition) -> None:
        self.since = since
        self.broken = False
        """Whether the feed has gone back behind what readers have, so that their cursors mean nothing any more."""
        self.readers = 0
        self.news = asyncio.Event()
        """Set when there are frames after it was taken from here; each addition replaces it."""
        self._positions: list[FeedPosition] = []
        self._frames: list[bytes] = []
        self._bytes = 0

    def add(self, position: FeedPosition, frame: bytes) -> None:
        """Add the frame of the next event; drop old ones once there are twice as many bytes as are kept."""
        self._positions.append(position)
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes > 2 * KEPT_BYTES:
            self._drop()
        self.wake()

    def wake(self) -> None:
        """Wake the readers that wait."""
        self.news.set()
        self.news = asyncio.Event()

    def after(self, cursor: FeedPosition, max_bytes: int) -> tuple[bytes, FeedPosition]:
        """The frames after a cursor that is not before `since`, and the cursor behind them: as many as fit, or one."""
        first = last = bisect_right(self._positions, cursor)
        size = 0
        while last < len(self._frames) and (last == first or size + len(self._frames[last]) <= max_bytes):
            size += len(self._frames[last])
            last += 1
        return b"".join(self._frames[first:last]), self._positions[last - 1] if last > first else cursor

    def _drop(self) -> None:
        count = 0
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._frames[count])
            count += 1
        self.since = self._positions[count - 1]
        del self._positions[:count], self._frames[:count]


class EventFeed:
    """Reads the feed from `position` on, and hands its events to the channels."""

    def __init__(self, live_events: LiveEvents, database: AsyncDatabase) -> None:
        self.position: FeedPosition | None = None
        """Everything up to here is in the channels; None while there are none."""
        self._live_events = live_events
        self._database = database
        self._channels: dict[FeedFilter, Channel] = {}
        self._wanted = asyncio.Event()
        self._held_s = HELD_S
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "cannot read the events of all jobs", "the events of all jobs are read again")

    async def start(self) -> None:
        """Start reading, once there is a reader."""
        self._task = asyncio.create_task(self._run(), name="event-feed")

    async def close(self) -> None:
        """Stop reading."""
        await background_tasks.end(self._task)

    @contextmanager
    def channel(self, wanted: FeedFilter, now: FeedPosition) -> Iterator[Channel]:
        """The channel of a filter, for one more reader; `now` is where the feed ended a moment ago."""
        if self.position is None:
            self.position = now
        channel = self._channels.setdefault(wanted, Channel(self.position))
        channel.readers += 1
        self._wanted.set()
        try:
            yield channel
        finally:
            channel.readers -= 1
            if not channel.readers and self._channels.get(wanted) is channel:
                del self._channels[wanted]
            if not self._channels:
                self.position = None
                self._wanted.clear()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                async with self._live_events.subscribe(None) as hints:
                    while self.position is not None:
                        await self._read(hints, self.position)
            except Exception:
                log.exception("the reader of all jobs' events failed; starting it again")
                await asyncio.sleep(CHECK_WITHOUT_REDIS_S)

    async def _read(self, hints: Subscription, after: FeedPosition) -> None:
        """Read a page, and wait until there may be another."""
        hints.behind = False
        try:
            page = await self._database.call(feed.page, EVERYTHING, after, candidates=PAGE_EVENTS, max_bytes=PAGE_BYTES)
            self._outage.end()
        except StoreUnavailable as error:
            self._outage.begin(error)
            await asyncio.sleep(CHECK_WITHOUT_REDIS_S)
            return
        if self.position is not after:  # all readers left meanwhile, and others came
            return
        if page.reached < after:
            self._break()
        for found in page.events:
            self._add(found)
        self.position = page.reached
        if not page.full:
            await self._pause(hints, page)

    def _break(self) -> None:
        """PostgreSQL counts transactions from an earlier one on: a standby took over that did not have the latest."""
        log.warning("the events of all jobs went back: PostgreSQL lost transactions; ending their streams")
        for channel in self._channels.values():
            channel.broken = True
            channel.wake()
        self._channels = {}

    def _add(self, found: FeedEvent) -> None:
        frame = b""
        for wanted, channel in self._channels.items():
            if wanted.matches(found):
                frame = frame or event_frame(found)
                channel.add(found.position, frame)

    async def _pause(self, hints: Subscription, page: feed.FeedPage) -> None:
        await asyncio.sleep(GAP_S)
        if page.held:
            self._held_s = HELD_S if page.events else min(2 * self._held_s, LONGEST_HELD_S)
            await asyncio.sleep(self._held_s)
            return
        self._held_s = HELD_S
        try:
            async with asyncio.timeout(CHECK_S if self._live_events.connected else CHECK_WITHOUT_REDIS_S):
                await hints.next()
        except TimeoutError:
            pass
