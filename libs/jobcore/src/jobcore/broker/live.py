"""Hot state in Redis: live events for streams, and cancels for supervisors. All of it may be lost without harm.

One pub/sub channel a job carries its events; a live message is a hint, PostgreSQL has the truth. Publishing never
holds up who publishes: an announcer is a thread with a bounded queue, and while Redis is away it drops. Streams read
through `jobcore.broker.following`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import redis

from jobcore.host.threads import LongThread
from jobcore.models import Change, Event
from jobcore.settings.redis_server import RedisServer
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.telemetry import logs, metrics

QUEUED_MAX: Final = 10_000
BATCH: Final = 500
MESSAGE_MAX: Final = 16 * 1024
"""Characters of an event that travels whole."""
TIMEOUT_S: Final = 1
LISTEN_S: Final = 5
BREAK_S: Final = 2.0

log = logs.get(__name__)
T = TypeVar("T")


def encode(event: Event) -> str:
    """An event as it travels over Redis; of one with much data only its seq, since PostgreSQL has the rest."""
    message = json_text.dumps(
        {
            "seq": event.seq,
            "at": event.at.isoformat(),
            "attempt": event.attempt,
            "kind": event.kind,
            "data": event.data,
        }
    )
    return message if len(message) <= MESSAGE_MAX else json_text.dumps({"seq": event.seq})


def decode(text: str | bytes) -> Event | None:
    """The event in a message, None if the message says only that there is one.

    ValueError, KeyError or TypeError if it is no message of ours.
    """
    raw: dict[str, Any] = json.loads(text)
    if raw.keys() == {"seq"}:
        return None
    return Event(raw["seq"], datetime.fromisoformat(raw["at"]), raw["attempt"], raw["kind"], raw["data"])


class Announcer:
    """Publishes events from its own thread. Nothing here raises or waits for Redis.

    Most jobs have no stream: it asks first which of a batch have one, and encodes and sends only their events.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._redis = server.client(TIMEOUT_S)
        self._messages: deque[tuple[UUID, Event]] = deque(maxlen=QUEUED_MAX)
        self._cancelled: deque[UUID] = deque(maxlen=QUEUED_MAX)
        self._something = threading.Event()
        self._stopping = False
        self._outage = logs.Outage(log, "live events are not sent: Redis is away", "live events are sent again")
        self._thread = LongThread("announcer", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what waits, then end."""
        self._stopping = True
        self._something.set()
        self._thread.join(3)

    def events(self, job_id: UUID, events: Iterable[Event]) -> None:
        """Tell the streams of a job what happened."""
        self._messages.extend((job_id, event) for event in events)
        self._something.set()

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell streams and metrics of stored transitions, and supervisors of cancels."""
        metrics.changed(changes)
        for change in changes:
            self._messages.append((change.id, change.event))
            if change.status is Status.CANCELLED:
                self._cancelled.append(change.id)
        self._something.set()

    def _run(self) -> None:
        while not (self._stopping and not self._messages):
            self._thread.rest()
            self._something.wait()
            self._something.clear()
            while self._messages:
                self._thread.beat()
                try:
                    self._publish(_popped(self._cancelled), _popped(self._messages))
                    self._outage.end()
                except (redis.RedisError, OSError) as error:
                    self._outage.begin(error)
                    self._messages.clear()
                    if not self._stopping:
                        time.sleep(BREAK_S)

    def _publish(self, cancelled: list[UUID], messages: list[tuple[UUID, Event]]) -> None:
        channel = self._server.job
        channels = list({channel(job_id) for job_id, _ in messages})
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in cancelled:
            pipeline.publish(self._server.cancels, str(job_id))
        pipeline.pubsub_numsub(*channels)
        followed = {name.decode() for name, readers in pipeline.execute()[-1] if readers}
        if not followed:
            return
        for job_id, event in messages:
            if channel(job_id) in followed:
                pipeline.publish(channel(job_id), encode(event))
        pipeline.execute()


def _popped(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]


class CancelListener:
    """Calls `on_cancel` from its own thread when a job was cancelled somewhere."""

    def __init__(self, server: RedisServer, on_cancel: Any) -> None:
        self._channel = server.cancels
        self._redis = server.client(LISTEN_S, health_check_interval=10)
        self._on_cancel = on_cancel
        self._stopping = threading.Event()
        self._thread = LongThread("cancel-listener", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
                    pubsub.subscribe(self._channel)
                    while not self._stopping.is_set():
                        self._thread.beat()
                        if pubsub.get_message(timeout=2):
                            self._on_cancel()
                        if pubsub.health_check_response_counter > 1:
                            raise redis.ConnectionError("the connection is open and brings no answer")
            except (redis.RedisError, OSError):
                self._stopping.wait(1)
