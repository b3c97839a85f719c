"""Stopping a task in a thread: another thread has CPython raise `JobInterrupted` in the task's own code.

`PyThreadState_SetAsyncExc` raises an exception in a thread at one of its next bytecodes, wherever that is. So the
thread says when it runs the task's code: it is *open* then, and else *closed* (our own code, which may hold locks). The
other thread sets the exception only while the thread is open, at most once a run. A thread that closes waits for an
exception that is on its way, which is then raised right there. So none is raised in closed code, or in the next run.

Both threads announce first and look second: one writes `_injecting`, then reads `_closed`; the other writes `_closed`,
then reads `_injecting`, and waits while it is set. So at least one of them sees the other.

A call into C is not interrupted before it returns, which is CPython's rule.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, TypeVar

from jobcore.supervision.child_state import RunKey
from jobcore.supervision.stops import StopReason
from jobcore.worker.interrupts import JobInterrupted, broke_an_import, end_fork

ARRIVAL_S: Final = 1.0
"""How long a closing thread waits for an exception that was set, in seconds; it arrives within microseconds."""

T = TypeVar("T")
_set_exception: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_exception.argtypes, _set_exception.restype = (ctypes.c_ulong, ctypes.py_object), ctypes.c_int


class ThreadInterrupts:
    """Makes the task code of one run in one thread interruptible. Create it in that thread."""

    def __init__(self) -> None:
        self._pid, self._thread = os.getpid(), threading.get_ident()
        self._closed = 1
        self._injecting = False
        self._set = False
        self._arrived = False
        self._anywhere = False
        self._delayed: StopReason | None = None
        self.tainted = False
        """True if the run may have left this process in a bad state."""

    def interrupt(self, reason: StopReason) -> None:
        """From one other thread: raise JobInterrupted in the task's code, or as soon as our own code has ended."""
        self._injecting = True
        try:
            if self._closed:
                self._delayed = reason
            elif not self._set:
                self._set = self._anywhere = True
                _set_exception(self._thread, self._exception(reason))
        finally:
            self._injecting = False

    def call(self, _key: RunKey, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call task code, which JobInterrupted may interrupt. A process that the task forks ends here."""
        try:
            self.open()
            try:
                result = function(*args, **kwargs)
            finally:
                self.close()
            end_fork(self._pid, None)
            return result
        except BaseException as error:
            end_fork(self._pid, error)
            self.tainted = self._anywhere or broke_an_import(error)
            raise

    def shield(self) -> _Shield:
        """Delay an interrupt until the end of this block. Another thread of the task needs none."""
        return _Shield(self if threading.get_ident() == self._thread else None)

    def open(self) -> None:
        """The task's code runs from here on. Raises an interrupt that came meanwhile."""
        self._closed -= 1
        self._await_injection()
        reason = self._delayed
        if reason is not None and not self._closed and not self._set:
            self._set = self._arrived = True
            raise JobInterrupted(reason, lambda: self._raise_again(reason))

    def close(self) -> None:
        """Our own code runs from here on. Raises an interrupt that is on its way; then the thread is open still."""
        self._closed += 1
        try:
            self._await_injection()
            if self._set and not self._arrived:
                self._await_arrival()
        except BaseException:
            self._closed -= 1
            raise

    def _await_injection(self) -> None:
        """In a process that the task forked, the other thread does not exist."""
        while self._injecting and os.getpid() == self._pid:
            time.sleep(0)

    def _await_arrival(self) -> None:
        give_up = time.monotonic() + ARRIVAL_S
        while not self._arrived and time.monotonic() < give_up:
            pass
        if not self._arrived:
            _set_exception(self._thread, ctypes.py_object())  # takes it back

    def _raise_again(self, reason: StopReason) -> None:
        """Once our own code has ended the next time."""
        self._delayed, self._set, self._arrived = reason, False, False

    def _exception(self, reason: StopReason) -> type[BaseException]:
        """A class, because CPython makes the instance: in the thread, once the exception arrives."""
        interrupts = self

        class Interrupted(JobInterrupted):
            def __init__(self) -> None:
                interrupts._arrived = True
                super().__init__(reason, lambda: interrupts._raise_again(reason))

        Interrupted.__name__ = Interrupted.__qualname__ = JobInterrupted.__name__
        return Interrupted


class _Shield:
    def __init__(self, interrupts: ThreadInterrupts | None) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        if self._interrupts is not None:
            self._interrupts.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._interrupts is not None:
            self._interrupts.open()
