"""Whether a worker hears its wake-ups: a main process that takes none although some wait is ended, to be started anew.

The keeper sends wake-ups for as long as jobs wait, and an idle worker takes one at once. A main process may be deaf to
them all the same: its loop hangs, its connection is lost in a way that nothing reports, or Celery's remote control
told it to stop consuming. `/workers` would call it active while its jobs wait for ever.

It is taken for deaf once LEASES leases long, and no less than START_S seconds, at each look,

- it has a lease and does not drain,
- a child is idle, and no child has begun or ended anything,
- wake-ups lie in the list of a queue that it serves.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from typing import Final

from jobcore.broker.wakeup import AWAY, TIMEOUT_S
from jobcore.host.processes import Process
from jobcore.host.threads import LongThread
from jobcore.settings import WorkerSettings
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs, metrics

LEASES: Final = 3
START_S: Final = 30.0
"""So long a worker may take from its registration to its first wake-up, on a machine that is busy."""

log = logs.get(__name__)


class Hearing:
    """Looks at each heartbeat, from a thread of the supervisor."""

    def __init__(self, slots: Slots, settings: WorkerSettings, queues: Sequence[str], main: Process) -> None:
        self._slots = slots
        self._server = settings.redis
        self._redis = settings.redis.client(TIMEOUT_S)
        self._queues = queues
        self._main = main
        self._look_s = settings.heartbeat_s
        # counted in looks: these stand still with a host that is frozen
        self._most_looks = math.ceil(max(LEASES * settings.lease_s, START_S) / settings.heartbeat_s)
        self._drain_looks = math.ceil(settings.drain_s / settings.heartbeat_s)
        self._versions: list[int] = []
        self._looks = 0
        self._thread = LongThread("hearing", self._run)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        while not self._is_deaf():
            self._pause()
        metrics.worker_deaf()
        log.error("this worker takes no wake-ups although some wait: it ends", queues=",".join(self._queues))
        self._main.signal(signal.SIGINT)  # drain, and say with the exit code that it should be started again
        self._looks = -self._drain_looks
        while not self._is_stuck():
            self._pause()
        log.error("this worker's main process does not end: killing it", pid=self._main.pid)
        self._main.signal(signal.SIGKILL)

    def _pause(self) -> None:
        self._thread.rest()
        time.sleep(self._look_s)
        self._thread.beat()

    def _is_deaf(self) -> bool:
        self._looks = self._looks + 1 if self._seems_deaf() else 0
        return self._looks > self._most_looks

    def _is_stuck(self) -> bool:
        busy = any(slot.read().busy for slot in self._slots)
        self._looks = min(self._looks, 0) if busy else self._looks + 1
        return self._looks > self._most_looks

    def _seems_deaf(self) -> bool:
        before, self._versions = self._versions, [slot.version for slot in self._slots]
        return (
            before == self._versions
            and self._slots.worker_id is not None
            and self._slots.draining_since is None
            and any(not slot.read().busy for slot in self._slots)
            and self._wake_ups_wait()
        )

    def _wake_ups_wait(self) -> bool:
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for queue in self._queues:
                pipeline.llen(self._server.queue(queue))
            return any(pipeline.execute())
        except AWAY:
            return False
