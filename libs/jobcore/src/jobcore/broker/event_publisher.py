"""Publishes over Redis what happened to jobs: events for their streams, and cancels for supervisors.

Each job has a pub/sub channel for its events, and one channel says that there are events of any job. A message is a
hint that may be lost, because PostgreSQL has the truth.
`jobcore.broker.live_events` and `jobcore.broker.cancel_listener` receive.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar
from uuid import UUID

import redis

from jobcore.broker.event_messages import NEWS, encode
from jobcore.host.background_thread import BackgroundThread
from jobcore.models import Change, Event
from jobcore.settings.redis_server import RedisServer
from jobcore.states import Status
from jobcore.telemetry import logs, metrics

QUEUED_MAX: Final = 10_000
BATCH: Final = 500
TIMEOUT_S: Final = 1
RETRY_S: Final = 2.0
STOP_S: Final = 3.0
NEWS_GAP_S: Final = 0.02
"""The shortest time after a message that only says that there are new events, in seconds."""

log = logs.get(__name__)
T = TypeVar("T")


class EventPublisher(BackgroundThread):
    """Publishes from its own thread. Its callers never wait for Redis, and no call raises.

    The queue of the thread is bounded, and is dropped while Redis is unavailable. Most jobs have no stream: the thread
    first asks whether any job has one, then which jobs of a batch have, and encodes and sends only their events.
    """

    def __init__(self, server: RedisServer) -> None:
        super().__init__("event-publisher", stop_s=STOP_S)
        self._server = server
        self._redis = server.client(TIMEOUT_S)
        self._messages: deque[tuple[UUID, Event | Change | None]] = deque(maxlen=QUEUED_MAX)
        self._cancelled: deque[UUID] = deque(maxlen=QUEUED_MAX)
        self._news = False
        self._something = threading.Event()
        self._outage = logs.Outage(log, "live events are dropped: Redis is unavailable", "live events are sent again")

    def on_stop(self) -> None:
        """Wake the thread, which publishes what waits and then ends."""
        self._something.set()

    def publish(self, job_id: UUID, events: Iterable[Event]) -> None:
        """Publish events of a job to its streams."""
        self._messages.extend((job_id, event) for event in events)
        self._something.set()

    def publish_changes(self, changes: Sequence[Change]) -> None:
        """Publish stored transitions to streams and cancels to supervisors, and count both in the metrics."""
        metrics.changed(changes)
        for change in changes:
            self._messages.append((change.id, change))
            if change.status is Status.CANCELLED:
                self._cancelled.append(change.id)
        self._something.set()

    def publish_stops(self, job_ids: Iterable[UUID]) -> None:
        """Say of cancelled jobs that their runs have stopped. That is no event, but some requests wait for it."""
        self._messages.extend((job_id, None) for job_id in job_ids)
        self._something.set()

    def announce(self) -> None:
        """Say that there are new events, which nobody can follow job by job yet: those of jobs just accepted."""
        self._news = True
        self._something.set()

    def run(self) -> None:
        """Publish what waits, until stopped and nothing waits."""
        while not (self.stopping and not self._messages):
            self.rest()
            self._something.wait()
            self._something.clear()
            while self._messages or self._news:
                self.beat()
                try:
                    self._send_next()
                    self._outage.end()
                except (redis.RedisError, OSError) as error:
                    self._outage.begin(error)
                    self._messages.clear()
                    self.pause(RETRY_S)

    def _send_next(self) -> None:
        self._news = False
        if self._messages:
            self._send(_popped(self._cancelled), _popped(self._messages))
        else:
            self._redis.publish(self._server.news, NEWS)
            self.pause(NEWS_GAP_S)

    def _send(self, cancelled: list[UUID], messages: list[tuple[UUID, Event | Change | None]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for job_id in cancelled:
            pipeline.publish(self._server.cancels, str(job_id))
        pipeline.publish(self._server.news, NEWS)
        pipeline.pubsub_numsub(self._server.readers)
        if not any(_followed(pipeline.execute()[-1])):
            return
        channel = self._server.job
        pipeline.pubsub_numsub(*{channel(job_id) for job_id, _ in messages})
        followed = set(_followed(pipeline.execute()[0]))
        for job_id, told in messages:
            if channel(job_id) in followed:
                pipeline.publish(channel(job_id), _message(told))
        if followed:
            pipeline.execute()


def _message(told: Event | Change | None) -> str:
    if told is None:
        return NEWS
    return encode(told.event if isinstance(told, Change) else told)


def _followed(counts: Iterable[tuple[bytes, int]]) -> Iterator[str]:
    """The channels that somebody listens to, in the answer to PUBSUB NUMSUB."""
    return (name.decode() for name, listeners in counts if listeners)


def _popped(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
