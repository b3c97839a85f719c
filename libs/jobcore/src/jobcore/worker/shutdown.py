"""How a worker's main process ends. A signal to it drains the worker or hands its jobs back; none hits a task.

    SIGTERM, SIGHUP, Ctrl-C    drain: running jobs get LONGRUN_DRAIN_S, then they are handed back
    SIGQUIT, a second Ctrl-C   hand back: running jobs are interrupted now, and handed back with their try
    the next of these          end now: the kernel kills the children, the supervisor hands their jobs back

Celery's own handlers would raise SystemExit inside tasks (cold shutdown), and start the program anew on SIGHUP with
its old supervisor still there.
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
    """How far the end of a worker has come."""

    RUNNING = 0
    DRAINING = 1
    HANDING_BACK = 2
    ENDED = 3


class Shutdown:
    """Takes the main process's signals; each handler stores a word or two and returns."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._stage = Stage.RUNNING

    def take_signals(self) -> None:
        """Main thread of the main process only."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it stops a job, in a child; here it would end the worker

    def drain(self) -> None:
        """However the worker ends: take no more jobs."""
        self._slots.drain()

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self._stage = max(self._stage, _next(self._stage, number))
        if self._stage is Stage.DRAINING:
            self._slots.drain()
            safe_say("longrun: draining; Ctrl-C once more hands running jobs back at once")
        elif self._stage is Stage.HANDING_BACK:
            self._slots.hand_back()
            safe_say("longrun: handing running jobs back; once more ends without waiting for them")
        else:
            os._exit(EX_FAILURE)
        # as Celery has it: SIGTERM is a success, a key pressed is not
        state.should_stop = EX_OK if number in (signal.SIGTERM, signal.SIGHUP) else EX_FAILURE


def _next(stage: Stage, number: int) -> Stage:
    if number in (signal.SIGTERM, signal.SIGHUP):
        return Stage.DRAINING
    if number == signal.SIGINT:
        return Stage(min(stage + 1, Stage.ENDED))
    return Stage.HANDING_BACK if stage < Stage.HANDING_BACK else Stage.ENDED


class ShutdownStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Ties the `Shutdown` of this process to its Celery worker."""

    shutdown: Shutdown | None = None

    def start(self, worker: Any) -> None:
        """Celery has set its own handlers by now."""
        if self.shutdown is not None:
            self.shutdown.take_signals()

    def close(self, worker: Any) -> None:
        """Also when no signal ends the worker."""
        if self.shutdown is not None:
            self.shutdown.drain()
