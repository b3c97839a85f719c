"""Wake-ups: Celery messages that say "there is work in queue Q". They name no job, so losing one loses nothing.

Sending one takes a millisecond or two, and Redis may be unavailable or frozen. So a thread sends them, with short
timeouts, and only as many as a queue's list lacks; whoever accepts or runs jobs never waits for Redis. A wake-up that
is sent through the anonymous exchange (`queue=` alone) arrives even after a FLUSHALL.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import redis
from kombu.exceptions import OperationalError as BrokerError

from jobcore.broker.connection import create_sender
from jobcore.host.background_thread import BackgroundThread
from jobcore.models import BULK_QUEUE, Accepted, AcceptedAlike
from jobcore.settings import CoreSettings
from jobcore.telemetry import logs, metrics, traces

WORK_TASK: Final = "jobcore.work"
MAX_WAITING: Final = 2
"""The most wake-ups that wait in a list of a queue: a worker that finds more jobs than it can run wakes others."""
RETRY_S: Final = 0.5
MIN_GAP_S: Final = 0.005
"""The shortest time between two rounds, in seconds; the first round after a pause starts at once."""
TIMEOUT_S: Final = 1
STOP_S: Final = 3.0
TRANSPORT_OPTIONS: Final = {
    "socket_timeout": TIMEOUT_S,
    "socket_keepalive": True,
    "max_retries": 0,
    "interval_start": 0,
}
REDIS_ERRORS: Final = (redis.RedisError, BrokerError, OSError)

log = logs.get(__name__)


class Waker(BackgroundThread):
    """Sends wake-ups from its own thread; `publish` sends one from the caller's."""

    def __init__(self, settings: CoreSettings) -> None:
        super().__init__("waker", stop_s=STOP_S)
        self._app = create_sender(settings)
        self._connection = self._app.connection_for_write(transport_options={**TRANSPORT_OPTIONS})
        self._producer: Any = None
        self._server = settings.redis
        self._redis = self._server.client(TIMEOUT_S)
        self._wanted: dict[str, int] = defaultdict(int)
        self._traces: dict[str, str] = {}
        self._empty: frozenset[str] = frozenset()
        """The queues whose lists were empty at the last look."""
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._outage = logs.Outage(log, "cannot send wake-ups: Redis is unavailable", "wake-ups are sent again")

    def on_stop(self) -> None:
        """Wake the thread, which sends what is wanted and then ends."""
        with self._changed:
            self._changed.notify()

    def notify(self, accepted: Iterable[Accepted | AcceptedAlike]) -> None:
        """Ask for a wake-up for each of these jobs that is ready."""
        with self._changed:
            for job in accepted:
                if job.ready:
                    self._wanted[job.queue] += job.jobs
                    if job.traceparent:
                        self._traces.setdefault(job.queue, job.traceparent)
            self._changed.notify()

    def wake(self, queue: str, count: int) -> None:
        """Ask for up to `count` wake-ups of a queue."""
        with self._changed:
            self._wanted[queue] += count
            self._changed.notify()

    def publish(self, queue: str) -> bool:
        """Send one wake-up from the caller's thread; False if Redis does not take it within TIMEOUT_S seconds."""
        with self._sending:
            try:
                self._send(queue, None)
            except REDIS_ERRORS:
                self._forget_connection()
                return False
        return True

    def fill(self, wanted: Mapping[str, int]) -> None:
        """Send each queue the wake-ups that its list lacks. Raises one of `REDIS_ERRORS`.

        A list that was empty at the last look gets one before the next look, so that an idle worker starts sooner.
        """
        at_once = self._empty.intersection(wanted)
        self._send_all(at_once)
        lengths = self._lengths(wanted)
        lacking = [queue for queue in wanted for _ in range(wanted[queue] - max(lengths[queue], queue in at_once))]
        self._send_all(lacking)
        if len(lacking) == 1:
            lengths = self._lengths(wanted)
        self._empty = self._empty.difference(wanted) | {queue for queue, length in lengths.items() if not length}

    def _send_all(self, queues: Iterable[str]) -> None:
        with self._sending:
            try:
                for queue in queues:
                    self._send(queue, self._traces.pop(queue, None))
            except REDIS_ERRORS:
                self._empty = frozenset()
                self._forget_connection()
                raise

    def _lengths(self, queues: Collection[str]) -> dict[str, int]:
        pipeline = self._redis.pipeline(transaction=False)
        for queue in queues:
            pipeline.llen(self._server.queue(queue))
        return dict(zip(queues, pipeline.execute(), strict=True))

    def _send(self, queue: str, traceparent: str | None) -> None:
        if queue == BULK_QUEUE:
            return  # no worker serves it
        if self._producer is None:
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        with traces.within(traceparent):
            self._app.send_task(WORK_TASK, args=(queue,), queue=queue, producer=self._producer, retry=False)
        metrics.woken(queue)

    def _forget_connection(self) -> None:
        self._producer = None
        self._connection.close()

    def run(self) -> None:
        """Send what is wanted, until stopped and nothing is wanted."""
        while True:
            self.rest()
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self.stopping)
                self.beat()
                if not self._wanted:
                    return
                wanted = {queue: min(count, MAX_WAITING) for queue, count in self._wanted.items()}
                self._wanted.clear()
            try:
                self.fill(wanted)
                self._outage.end()
                time.sleep(MIN_GAP_S)
            except REDIS_ERRORS as error:
                self._outage.begin(error)
                self.pause(RETRY_S)
