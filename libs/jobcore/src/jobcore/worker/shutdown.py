"""How a worker's main process ends: a signal drains the worker or hands its jobs back, and disturbs no task.

    SIGTERM, SIGHUP, Ctrl-C    drain: running jobs get LONGRUN_DRAIN_S, then they are handed back
    SIGQUIT, a second Ctrl-C   hand back: running jobs are interrupted now and handed back, which costs no try
    one more of these          end now: the kernel kills the children, and the supervisor hands their jobs back

Celery's own handlers would raise SystemExit inside tasks (cold shutdown), and on SIGHUP restart the program while its
old supervisor still runs.
"""

from __future__ import annotations

import os
import signal
from enum import IntEnum
from types import FrameType
from typing import Any

from celery import bootsteps
from celery.apps.worker import safe_say
from celery.platforms import EX_FAILURE, EX_OK
from celery.worker import state

from jobcore.supervision.slots import Slots


class Stage(IntEnum):
    """The stages of a worker's end, in order."""

    RUNNING = 0
    DRAINING = 1
    HANDING_BACK = 2
    ENDED = 3


class Shutdown:
    """Handles the main process's signals; each handler stores a flag and returns."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._stage = Stage.RUNNING

    def install(self) -> None:
        """Set the signal handlers. Main thread of the main process only."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # in a child it stops a run; here it would end the worker

    def drain(self) -> None:
        """Claim no more jobs, however the worker ends."""
        self._slots.drain()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._stage = max(self._stage, _next(self._stage, number))
        if self._stage is Stage.DRAINING:
            self._slots.drain()
            safe_say("longrun: draining; press Ctrl-C again to hand running jobs back now")
        elif self._stage is Stage.HANDING_BACK:
            self._slots.hand_back()
            safe_say("longrun: handing running jobs back; press Ctrl-C again to exit without waiting for them")
        else:
            os._exit(EX_FAILURE)
        # as in Celery, SIGTERM exits with success, a pressed key does not
        state.should_stop = EX_OK if number in (signal.SIGTERM, signal.SIGHUP) else EX_FAILURE


def _next(stage: Stage, number: int) -> Stage:
    if number in (signal.SIGTERM, signal.SIGHUP):
        return Stage.DRAINING
    if number == signal.SIGINT:
        return Stage(min(stage + 1, Stage.ENDED))
    return Stage.HANDING_BACK if stage < Stage.HANDING_BACK else Stage.ENDED


class ShutdownStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Connects the `Shutdown` of this process to its Celery worker."""

    shutdown: Shutdown | None = None

    def start(self, worker: Any) -> None:
        """Set our signal handlers; Celery has set its own before."""
        if self.shutdown is not None:
            self.shutdown.install()

    def close(self, worker: Any) -> None:
        """Drain, also if the worker ends without a signal."""
        if self.shutdown is not None:
            self.shutdown.drain()
