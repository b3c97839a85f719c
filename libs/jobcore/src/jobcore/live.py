"""Hot state in Redis: live events for streams, and cancels for supervisors. All of it may be lost without harm.

One pub/sub channel a job carries its events; a live message is a hint, PostgreSQL has the truth. Publishing never
holds up who publishes: an announcer is a thread with a bounded queue, and while Redis is away it drops.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import redis
import redis.asyncio

from jobcore import logs
from jobcore.models import Change, Event
from jobcore.states import Status
from jobcore.store import documents

CANCELS: Final = "longrun:cancels"
QUEUED_MAX: Final = 10_000
BATCH: Final = 500
BREAK_S: Final = 2.0
SUBSCRIBER_QUEUE: Final = 256

log = logs.get(__name__)


def channel(job_id: UUID) -> str:
    """The pub/sub channel of a job's events."""
    return f"longrun:job:{job_id}"


def encode(event: Event) -> str:
    """An event as it travels over Redis."""
    return documents.dumps(event)


def decode(text: str | bytes) -> Event:
    """The event in a message; ValueError or KeyError if it is not one."""
    raw: dict[str, Any] = json.loads(text)
    return Event(raw["seq"], datetime.fromisoformat(raw["at"]), raw["attempt"], raw["kind"], raw["data"])


class Announcer:
    """Publishes events from its own thread. Nothing here raises or waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)
        self._messages: deque[tuple[str, str]] = deque(maxlen=QUEUED_MAX)
        self._something = threading.Event()
        self._stopping = False
        self._outage = logs.Outage(log, "live events are not sent: Redis is away", "live events are sent again")
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what waits, then end."""
        self._stopping = True
        self._something.set()
        self._thread.join(timeout=3)

    def events(self, job_id: UUID, events: Iterable[Event]) -> None:
        """Tell the streams of a job what happened."""
        self._messages.extend((channel(job_id), encode(event)) for event in events)
        self._something.set()

    def announce(self, changes: Iterable[Change]) -> None:
        """Tell streams of stored transitions, and supervisors of cancels."""
        for change in changes:
            self._messages.append((channel(change.id), encode(change.event)))
            if change.status is Status.CANCELLED:
                self._messages.append((CANCELS, str(change.id)))
        self._something.set()

    def _run(self) -> None:
        while not (self._stopping and not self._messages):
            self._something.wait()
            self._something.clear()
            while self._messages:
                self._publish([self._messages.popleft() for _ in range(min(BATCH, len(self._messages)))])

    def _publish(self, messages: list[tuple[str, str]]) -> None:
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for name, text in messages:
                pipeline.publish(name, text)
            pipeline.execute()
            self._outage.end()
        except (redis.RedisError, OSError) as error:
            self._outage.begin(error)
            self._messages.clear()
            if not self._stopping:
                time.sleep(BREAK_S)
                self._messages.clear()


class CancelListener:
    """Calls `on_cancel` from its own thread when a job was cancelled somewhere."""

    def __init__(self, redis_url: str, on_cancel: Any) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=10
        )
        self._on_cancel = on_cancel
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="cancel-listener", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(CANCELS)
                    while not self._stopping.is_set():
                        if pubsub.get_message(timeout=2):
                            self._on_cancel()
            except (redis.RedisError, OSError):
                self._stopping.wait(1)


class Subscription:
    """Live events of one job: hints, in order of arrival, from the moment it was made."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._events: asyncio.Queue[Event] = asyncio.Queue(SUBSCRIBER_QUEUE)

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


class Live:
    """One pub/sub connection for all streams of an API process; reconnects by itself."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            redis_url, socket_timeout=5, socket_connect_timeout=2, health_check_interval=10
        )
        self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
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
            await self._pubsub.aclose()
            await self._redis.aclose()

    @asynccontextmanager
    async def subscribe(self, job_id: UUID) -> AsyncIterator[Subscription]:
        """Listen to a job while the context is open; returns once Redis has the subscription, or is away."""
        name = channel(job_id)
        subscription = Subscription(self)
        first = name not in self._subscriptions
        self._subscriptions.setdefault(name, set()).add(subscription)
        if first:
            await self._tell(self._pubsub.subscribe, name)
        try:
            yield subscription
        finally:
            others = self._subscriptions[name]
            others.discard(subscription)
            if not others:
                del self._subscriptions[name]
                await self._tell(self._pubsub.unsubscribe, name)

    async def _tell(self, command: Any, name: str) -> None:
        self._wanted.set()
        try:
            async with asyncio.timeout(1):
                await command(name)
        except (redis.RedisError, OSError, TimeoutError):
            self.connected = False

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._pubsub.connect()
                if not self.connected and self._subscriptions:
                    await self._pubsub.subscribe(*self._subscriptions)
                self.connected = True
                self._outage.end()
                await self._listen()
            except (redis.RedisError, OSError, RuntimeError) as error:
                self.connected = False
                self._outage.begin(error)
                with suppress(redis.RedisError, OSError):
                    await self._pubsub.connection.disconnect() if self._pubsub.connection else None
                await asyncio.sleep(1)

    async def _listen(self) -> None:
        while self._pubsub.subscribed:
            message = await self._pubsub.get_message(timeout=5)
            if message is None:
                continue
            with suppress(ValueError, KeyError, TypeError):
                event = decode(message["data"])
                for subscription in self._subscriptions.get(message["channel"].decode(), ()):
                    subscription.offer(event)
        self._wanted.clear()
