"""Whether a worker takes its wake-ups: a main process that takes none although some wait is ended.

The keeper sends wake-ups for as long as jobs wait, and an idle worker takes one at once. A main process may be
unresponsive all the same: its loop hangs, its connection is lost in a way that nothing reports, or Celery's remote
control told it to stop consuming. `GET /workers` would call it active while its jobs wait for ever.

A worker counts as unresponsive if all of this was true at each check for LEASES leases, and at least START_S seconds:

- it has a lease and does not drain,
- a child has room, and no child with room claimed, began or ended anything since the last check; a child whose main
  thread is busy gets no wake-ups, and claims by itself (`worker/claims_beside.py`),
- wake-ups wait in the list of a queue that it serves.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from typing import Final

from jobcore.broker.waker import REDIS_ERRORS, TIMEOUT_S
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.processes import Process
from jobcore.settings import WorkerSettings
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs, metrics

LEASES: Final = 3
START_S: Final = 30.0
"""How long a worker may take from its registration to its first wake-up on a busy machine, in seconds."""

log = logs.get(__name__)


class WakeUpCheck(BackgroundThread):
    """Checks once a heartbeat, from a thread of the supervisor."""

    def __init__(self, slots: Slots, settings: WorkerSettings, queues: Sequence[str], main: Process) -> None:
        super().__init__("wake-up-check")
        self._slots = slots
        self._server = settings.redis
        self._redis = settings.redis.client(TIMEOUT_S)
        self._queues = queues
        self._main = main
        self._jobs_per_child = settings.jobs_per_child
        self._check_s = settings.heartbeat_s
        # counted in checks, because a frozen host makes none
        self._max_checks = math.ceil(max(LEASES * settings.lease_s, START_S) / settings.heartbeat_s)
        self._drain_checks = math.ceil(settings.drain_s / settings.heartbeat_s)
        self._versions: dict[int, int] = {}
        self._checks = 0

    def run(self) -> None:
        """Check once a heartbeat, and end a worker that is unresponsive, until stopped."""
        if not self._comes_true(self._is_unresponsive):
            return
        metrics.worker_unresponsive()
        log.error("this worker takes no wake-ups although some wait; ending it", queues=",".join(self._queues))
        self._main.signal(signal.SIGINT)  # it drains, and its exit code asks for a restart
        self._checks = -self._drain_checks
        if not self._comes_true(self._is_stuck):
            return
        log.error("the main process does not end; killing it", pid=self._main.pid)
        self._main.signal(signal.SIGKILL)

    def _comes_true(self, condition: Callable[[], bool]) -> bool:
        """Whether a check of the condition succeeds before `stop`."""
        while not self.stopping:
            if condition():
                return True
            self.pause(self._check_s)
        return False

    def _is_unresponsive(self) -> bool:
        self._checks = self._checks + 1 if self._seems_unresponsive() else 0
        return self._checks > self._max_checks

    def _is_stuck(self) -> bool:
        busy = any(slot.read().busy for slot in self._slots)
        self._checks = min(self._checks, 0) if busy else self._checks + 1
        return self._checks > self._max_checks

    def _seems_unresponsive(self) -> bool:
        before = self._versions
        self._versions = {slot.index: slot.version for slot in self._slots if self._has_room(slot)}
        return (
            bool(self._versions)
            and before == self._versions
            and self._slots.worker_id is not None
            and self._slots.draining_since is None
            and self._wake_ups_wait()
        )

    def _has_room(self, slot: Slot) -> bool:
        return slot.read().has_room(self._jobs_per_child) and not slot.retiring

    def _wake_ups_wait(self) -> bool:
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for queue in self._queues:
                pipeline.llen(self._server.queue(queue))
            return any(pipeline.execute())
        except REDIS_ERRORS:
            return False
