"""Following jobs live: one pub/sub connection serves all streams of an API process.

The connection is kept up whether or not anybody listens (it always has the channel KEEP_UP), so a new stream costs one
SUBSCRIBE and no connecting. It reconnects by itself and then subscribes to all that is listened to. What is missed
meanwhile is found in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import redis
import redis.asyncio

from jobcore import logs
from jobcore.live import channel, decode
from jobcore.models import Event

KEEP_UP: Final = "longrun:keep-up"
WAITING_MAX: Final = 256
CONFIRM_S: Final = 1.0
RECONNECT_S: Final = 1.0
POLL_S: Final = 5.0

log = logs.get(__name__)


class Subscription:
    """Live events of one job: hints, in order of arrival, from the moment it was made."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._events: asyncio.Queue[Event] = asyncio.Queue(WAITING_MAX)

    @property
    def connected(self) -> bool:
        """False while Redis is away: then poll."""
        return self._live.connected

    async def next(self, timeout_s: float) -> Event | None:
        """The next live event, or None after `timeout_s` seconds."""
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(self._events.get(), timeout_s)
        return None

    def offer(self, event: Event) -> None:
        """Queue an event; a reader too slow to keep up loses hints and finds the rest in PostgreSQL."""
        with suppress(asyncio.QueueFull):
            self._events.put_nowait(event)


@dataclass
class _Channel:
    subscriptions: set[Subscription] = field(default_factory=set)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Live:
    """Gives out subscriptions; `connected` is False while Redis is away."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=2)
        self._pubsub: Any = None
        self._channels: dict[str, _Channel] = {}
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "streams poll PostgreSQL: Redis is away", "streams are live again")
        self.connected = False

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="live")

    async def close(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(redis.RedisError, OSError):
            await self._redis.aclose()

    @asynccontextmanager
    async def subscribe(self, job_id: UUID) -> AsyncIterator[Subscription]:
        """Listen to a job while the context is open; returns once Redis confirmed it, or is away."""
        name = channel(job_id)
        subscription = Subscription(self)
        first = name not in self._channels
        here = self._channels.setdefault(name, _Channel())
        here.subscriptions.add(subscription)
        if first:
            await self._send("subscribe", name)
        if self.connected:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(here.confirmed.wait(), CONFIRM_S)
        try:
            yield subscription
        finally:
            here.subscriptions.discard(subscription)
            if not here.subscriptions and self._channels.get(name) is here:
                del self._channels[name]
                await self._send("unsubscribe", name)

    async def _send(self, command: str, name: str) -> None:
        if not self.connected:
            return  # the next connection subscribes to all that is listened to
        with suppress(redis.RedisError, OSError, TimeoutError):
            async with self._sending, asyncio.timeout(CONFIRM_S):
                await getattr(self._pubsub, command)(name)

    async def _run(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as self._pubsub:
                    await self._pubsub.subscribe(KEEP_UP, *self._channels)
                    self.connected = True
                    self._outage.end()
                    await self._listen()
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._outage.begin(error)
            except Exception:
                log.exception("following live events failed; it starts anew")
            finally:
                self.connected = False
                for here in self._channels.values():
                    here.confirmed.clear()
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        """Take what comes; redis.ConnectionError if not even a PING is answered, for Redis may be silent."""
        pinged_at = heard_at = time.monotonic()
        while True:
            message = await self._pubsub.get_message(timeout=POLL_S)
            now = time.monotonic()
            if message is not None:
                heard_at = now
                self._take(message)
            if pinged_at > heard_at and now > pinged_at + POLL_S:
                raise redis.ConnectionError("the connection is open and brings no answer")
            if now > max(heard_at, pinged_at) + POLL_S:
                pinged_at = now
                async with self._sending, asyncio.timeout(CONFIRM_S):
                    await self._pubsub.ping()

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None or message["channel"] is None:
            return
        here = self._channels.get(message["channel"].decode())
        if here is None:
            return
        if message["type"] == "subscribe":
            here.confirmed.set()
        elif message["type"] == "message":
            with suppress(ValueError, KeyError, TypeError):
                event = decode(message["data"])
                for subscription in here.subscriptions:
                    subscription.offer(event)
