"""Stopping a running task from outside: SIGUSR2 raises inside the task's own code, and nowhere else.

The supervisor posts which run must stop and sends the signal. The handler raises only if that very run's code is on
the stack now; it fires at most once a run, and never while Longrun's own code claims, finishes or hands back. Calls
of the job's context are shielded: an exception out of a signal handler could leave a lock taken for good.

Other code is not shielded. An interrupt inside an import leaves modules half made, inside a library perhaps a lock
that nobody gives back: `tainted` says so, and the child is replaced.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

from jobcore.errors import JobCancelled
from jobcore.supervision.slots import STOP_SIGNAL, RunKey, Slot, StopReason
from jobcore.worker.process_state import ProcessState

CHAIN_MAX: Final = 20
T = TypeVar("T")


class JobInterrupted(JobCancelled):
    """The supervisor's signal reached the task's code; `reason` says why it must stop."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(f"stopped by its worker: {reason.name.lower()}")
        self.reason = reason


class Interrupts:
    """Guards calls of task code in this child's main thread."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._pid = os.getpid()
        self._process_state: ProcessState | None = None
        self._inside: RunKey | None = None
        self._shields = 0
        self._put_off = False
        self.tainted = False
        """True if the last run may have left something half done that the next one would stumble over."""

    def install(self) -> None:
        """Take over SIGUSR2; main thread only."""
        signal.signal(STOP_SIGNAL, self._handle)

    def restore_after(self, fresh: ProcessState) -> None:
        """Put back after each call how this process is now."""
        self._process_state = fresh

    def call(self, key: RunKey, function: Callable[..., T], *args: Any) -> T:
        """Run task code that the supervisor may interrupt with JobInterrupted; what it leaves behind is cleared.

        It runs in a copy of the context: what it sets in context variables is gone afterwards too.
        """
        self._put_off = False
        self.tainted = False
        try:
            self._inside = key
            result = copy_context().run(function, *args)
            self._end_fork(None)
            return result
        except BaseException as error:
            self._end_fork(error)
            self.tainted = self.tainted or _broke_an_import(error)
            raise
        finally:
            self._inside = None
            if self._process_state is not None and not self._process_state.restore():
                self.tainted = True

    def _end_fork(self, error: BaseException | None) -> None:
        """A process that the task forked (`os.fork`) ends with the task's code: it must not go on as this child."""
        if os.getpid() == self._pid:
            return
        if error is not None and not isinstance(error, SystemExit):
            traceback.print_exception(error)
        code = error.code if isinstance(error, SystemExit) else error is not None
        os._exit(code if isinstance(code, int) else code is not None)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Put an interrupt off until the end of this block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            # also when the block raised: the supervisor sends its signal once
            self._shields -= 1
            if self._put_off and not self._shields:
                self._interrupt()

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self._shields:
            self._put_off = True
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        inside = self._inside
        if inside is None:
            return
        reason = self._slot.stop_reason(inside)
        if reason is not StopReason.NONE:
            self._inside = None
            self.tainted = True
            raise JobInterrupted(reason)


def _broke_an_import(error: BaseException | None) -> bool:
    """True if the error, or what led to it, was raised while the code of a module ran."""
    for _ in range(CHAIN_MAX):
        if error is None:
            return False
        if _passed_a_module(error.__traceback__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _passed_a_module(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "<module>":
            return True
        traceback = traceback.tb_next
    return False
