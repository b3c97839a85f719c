"""Stopping a running task: SIGUSR2 raises `JobInterrupted` inside the task's own code, and nowhere else.

The supervisor writes a stop request into the slot and sends the signal. The handler raises only if the code of that run
is on the stack; it raises at most once per run, and never while our own code claims, stores or hands back. Methods of
`ctx` are shielded, because an exception from a signal handler could leave a lock held for ever.

Python notes a signal, and runs its handler between two instructions. If a call that blocks begins in between, nothing
would interrupt it. So the handler says in the slot that it ran, and the supervisor sends its signal again until it did.

Python ignores what is raised inside a callback of the garbage collector, a weak reference or `__del__`, but tells
`sys.unraisablehook`. An interrupt that is lost there counts as not handled, so the next signal raises it again.

Other code is not shielded. An interrupt inside an import leaves modules half imported; inside a library, it may leave a
lock held. Then `tainted` is set, and the child is replaced.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType, TracebackType
from typing import Any, Final, TypeVar

from jobcore.errors import JobCancelled
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import STOP_SIGNAL, Slot
from jobcore.supervision.stops import StopReason
from jobcore.worker.process_state import ProcessState

CHAIN_MAX: Final = 20
T = TypeVar("T")


class JobInterrupted(JobCancelled):
    """Raised in the task's code by the supervisor's signal; `reason` is that of the stop request."""

    def __init__(self, reason: StopReason, on_lost: Callable[[], None]) -> None:
        super().__init__(f"the worker stopped this run: {reason.name.lower()}")
        self.reason = reason
        self.on_lost = on_lost
        """Call this if Python ignored the exception."""


class Interrupts:
    """Makes task code in this child's main thread interruptible."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._pid = os.getpid()
        self._process_state: ProcessState | None = None
        self._called: RunKey | None = None
        self._inside: RunKey | None = None
        """The run whose code an interrupt may strike: the one that is called, until it was struck."""
        self._shields = 0
        self._delayed = False
        self.tainted = False
        """True if the last run may have left this process in a state that harms the next one."""

    def install(self) -> None:
        """Handle SIGUSR2, and notice interrupts of any thread that are lost. Main thread only."""
        signal.signal(STOP_SIGNAL, self._handle)
        sys.unraisablehook = noticing_lost_interrupts(sys.unraisablehook)

    def restore_after(self, fresh: ProcessState) -> None:
        """Restore this state of the process after each call."""
        self._process_state = fresh

    def call(self, key: RunKey, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call task code, which JobInterrupted may interrupt, and restore the state of the process afterwards.

        It runs in a copy of the context, so context variables that it sets are gone afterwards.
        """
        self._delayed = False
        self.tainted = False
        try:
            self._called = self._inside = key
            result = copy_context().run(function, *args, **kwargs)
            end_fork(self._pid, None)
            return result
        except BaseException as error:
            end_fork(self._pid, error)
            self.tainted = self.tainted or broke_an_import(error)
            raise
        finally:
            self._called = self._inside = None
            self.restore()

    def restore(self) -> None:
        """Restore the state of the process now."""
        if self._process_state is not None and not self._process_state.restore():
            self.tainted = True

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Delay an interrupt until the end of this block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            # also if the block raised, because the supervisor sends no signal after one that was handled
            self._shields -= 1
            if self._delayed and not self._shields:
                self._interrupt()

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self._inside is not None and self._slot.wants_interrupt(self._inside):
            self._slot.post_interrupted(self._inside)
        if self._shields:
            self._delayed = True
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
            raise JobInterrupted(reason, lambda: self._raise_again(inside))

    def _raise_again(self, key: RunKey) -> None:
        if self._called == key:
            self._inside = key
            self._slot.post_interrupted(None)


def noticing_lost_interrupts(hook: Callable[[Any], object]) -> Callable[[Any], object]:
    """A `sys.unraisablehook` that tells an interrupt that it was lost; `hook` gets all other exceptions."""

    def notice(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, JobInterrupted):
            unraisable.exc_value.on_lost()
        else:
            hook(unraisable)

    return notice


def end_fork(child: int, error: BaseException | None) -> None:
    """End a process that the task forked (`os.fork`) with the task's code: it must not continue as this child."""
    if os.getpid() == child:
        return
    if error is not None and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    code = error.code if isinstance(error, SystemExit) else error is not None
    os._exit(code if isinstance(code, int) else code is not None)


def broke_an_import(error: BaseException | None) -> bool:
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
