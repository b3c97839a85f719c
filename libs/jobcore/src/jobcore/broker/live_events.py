"""Receives live events: one pub/sub connection serves all streams of an API process.

Readers that come and go only change which channels are wanted, which never waits, even if they are cancelled. A task of
the connection subscribes and unsubscribes accordingly, so no subscription outlives its last reader. The connection is
kept open without readers too, and is pinged every second: a Redis that is silent for SILENT_S seconds counts as
unavailable. Events that are missed meanwhile are read in PostgreSQL.

Every reader of a job also listens to one channel on which nothing is sent: by it, publishers know whether there is any.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import redis
import redis.asyncio

from jobcore.broker.event_messages import decode
from jobcore.models import Event
from jobcore.settings.redis_server import RedisServer
from jobcore.telemetry import logs

WAITING_MAX: Final = 32 * 1024
"""The most bytes of live events that wait for one reader."""
CONFIRM_S: Final = 1.0
RECONNECT_S: Final = 1.0
PING_S: Final = 1.0
SILENT_S: Final = 4.0
BATCH: Final = 500

log = logs.get(__name__)


class Subscription:
    """The live events of one job since the subscription was made, in order of arrival; some may be missing.

    Without a job, it has no events: `next` returns None when there are new ones of any job.
    """

    def __init__(self, job_id: UUID | None) -> None:
        self.job_id = job_id
        self.cursor = 0
        """The seq up to which the reader has every event; the reader updates it."""
        self.behind = False
        """True if PostgreSQL may have events that did not arrive here; the reader resets it before it reads them."""
        self.idle = False
        """True while the reader waits in `next`."""
        self.awaits_stop = False
        """True if the reader waits for the end of a cancelled run, which has no event."""
        self._events: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()

    async def next(self) -> Event | None:
        """Wait for the next live event; None as soon as the reader is behind."""
        if not self._events and not self.behind:
            self._woken.clear()
            self.idle = True
            try:
                await self._woken.wait()
            finally:
                self.idle = False
        if not self._events:
            return None
        event, size = self._events.popleft()
        self._bytes -= size
        return event

    def offer(self, event: Event, size: int) -> None:
        """Queue an event of `size` bytes for the reader; if too many wait, drop them all and mark it as behind."""
        if self._bytes + size > WAITING_MAX:
            self.mark_behind()
            return
        self._events.append((event, size))
        self._bytes += size
        self._woken.set()

    def mark_behind(self) -> None:
        """Drop what waits; the reader has to read PostgreSQL."""
        self._events.clear()
        self._bytes = 0
        self.behind = True
        self._woken.set()


@dataclass(eq=False, slots=True)
class _Channel:
    readers: set[Subscription] = field(default_factory=set)
    requested: bool = False
    """True once SUBSCRIBE was sent on this connection."""
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class LiveEvents:
    """Makes subscriptions; `connected` is False while Redis is unavailable or silent."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._redis = server.asyncio_client(SILENT_S)
        self._ping_channel = server.key("ping")
        self._channels: dict[str, _Channel] = {}
        self._changed: set[str] = set()
        self._change = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "streams poll PostgreSQL: Redis is unavailable", "streams are live again")
        self._closing = False
        self.connected = False

    async def start(self) -> None:
        """Open the connection."""
        self._task = asyncio.create_task(self._run(), name="live-events")

    async def close(self) -> None:
        """Close the connection."""
        self._closing = True  # asyncio.wait_for, which redis-py uses, may swallow a cancellation
        self._change.set()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(redis.RedisError, OSError):
            await self._redis.aclose()

    def idle(self) -> Iterator[tuple[UUID, Subscription]]:
        """The jobs, and the subscriptions to them, whose readers wait for an event."""
        for reader in self._channels.get(self._server.readers, _Channel()).readers:
            if reader.idle and reader.job_id is not None:
                yield reader.job_id, reader

    @asynccontextmanager
    async def subscribe(self, job_id: UUID | None) -> AsyncIterator[Subscription]:
        """Receive the events of a job in this context, which begins once Redis confirmed it or is unavailable."""
        subscription = Subscription(job_id)
        names = [self._server.news] if job_id is None else [self._server.readers, self._server.job(job_id)]
        channels = [self._channels.setdefault(name, _Channel()) for name in names]
        for each in channels:
            each.readers.add(subscription)
        self._note(names)
        try:
            if self.connected:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CONFIRM_S):
                        await channels[-1].confirmed.wait()
            yield subscription
        finally:
            for each in channels:
                each.readers.discard(subscription)
            self._note(names)

    def _note(self, names: Iterable[str]) -> None:
        self._changed.update(names)
        self._change.set()

    async def _run(self) -> None:
        while not self._closing:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._ping_channel)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._listen(pubsub))
                        tasks.create_task(self._synchronize(pubsub))
            except* (redis.RedisError, OSError) as errors:
                self._outage.begin(errors.exceptions[0])
            except* Exception:
                log.exception("the connection for live events failed; reconnecting")
            finally:
                self._forget()
            await asyncio.sleep(RECONNECT_S)

    def _forget(self) -> None:
        """The connection is lost and its subscriptions with it; the next one starts with the channels wanted then."""
        self.connected = False
        self._channels = {name: channel for name, channel in self._channels.items() if channel.readers}
        self._changed = set(self._channels)
        for channel in self._channels.values():
            channel.requested = False
            channel.confirmed.clear()

    async def _synchronize(self, pubsub: Any) -> None:
        """Subscribe to wanted channels, unsubscribe from others, and ping Redis in between."""
        while not self._closing:
            self._change.clear()
            wanted, unwanted = self._differences()
            for command, names in ((pubsub.subscribe, wanted), (pubsub.unsubscribe, unwanted)):
                for start in range(0, len(names), BATCH):
                    await command(*names[start : start + BATCH])
            try:
                async with asyncio.timeout(PING_S):
                    await self._change.wait()
            except TimeoutError:
                await pubsub.ping()

    def _differences(self) -> tuple[list[str], list[str]]:
        wanted, unwanted = [], []
        # first the channel of all readers: once that of a job is confirmed, its events are sent
        for name in sorted(self._changed, key=lambda name: name != self._server.readers):
            if (channel := self._channels.get(name)) is None:
                continue
            if channel.readers and not channel.requested:
                channel.requested = True
                wanted.append(name)
            elif not channel.readers and not channel.requested:
                del self._channels[name]
            elif not channel.readers and channel.confirmed.is_set():
                # not before its confirmation, which else would be taken for that of the next subscription
                del self._channels[name]
                unwanted.append(name)
        self._changed.clear()
        return wanted, unwanted

    async def _listen(self, pubsub: Any) -> None:
        while not self._closing:
            message = await pubsub.get_message(timeout=SILENT_S)
            if message is None:
                raise redis.TimeoutError(f"no message or pong for {SILENT_S:g} s")
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "pong":
            return
        name = message["channel"].decode()
        if name == self._ping_channel:
            self.connected = True
            self._outage.end()
            return
        channel = self._channels.get(name)
        if channel is None:
            return
        if message["type"] == "subscribe":
            channel.confirmed.set()
            if not channel.readers:
                self._note([name])
        elif message["type"] == "message":
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                _deliver(channel, message["data"])


def _deliver(channel: _Channel, data: bytes) -> None:
    event = decode(data)
    for reader in channel.readers:
        if event is None:
            reader.mark_behind()
        else:
            reader.offer(event, len(data))
