"""Retirement: a child ends between two messages, once everything is stored, and the pool starts a fresh one.

A child retires after a run that was interrupted (modules may be half imported, a library's lock may be held for ever),
and when it gets SIGTERM, SIGINT, SIGQUIT or SIGHUP: from systemd, from a platform that signals every process, or from
an operator. None of these signals disturbs a running task. The main process decides how long a task may continue, and
the supervisor stops it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from billiard.pool import EX_RECYCLE

from jobcore.telemetry import logs

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
STACKS: Final = signal.SIGUSR1
"""Prints the stacks of a child's threads, as it does in Celery's main process."""
HANDLED: Final = (*ENDING, STACKS)

log = logs.get(__name__)
_forking = threading.local()
"""The signal mask of the thread that forks."""


class Retirement:
    """Whether this process should end, and why."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._waiting = False

    def ask(self, why: str) -> None:
        """End after the current message; at once if there is none. Any thread may ask."""
        if self.why is None:
            self.why = why
        if not self._waiting:
            return
        if threading.current_thread() is threading.main_thread():
            self._leave()
        else:  # the main thread waits in a system call, which a signal interrupts
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def wait(self, wait: Callable[[], object]) -> None:
        """Wait for a message, or end if this process should end. `wait` takes nothing out of the pipe."""
        self._waiting = True
        try:
            if self.why is not None:
                self._leave()
            wait()
        finally:
            self._waiting = False

    def install(self) -> None:
        """Handle signals so that none ends a task. Main thread of a child only.

        The signals are handled and not ignored, because programs that a task starts would inherit ignored signals. A
        process that a task forks has the usual handlers from its start, because `multiprocessing` ends processes with
        SIGTERM.
        """
        for number in ENDING:
            signal.signal(number, self._signalled)
        signal.signal(STACKS, lambda *_: faulthandler.dump_traceback(file=2, all_threads=True))
        # in the place of that handler, until a task sets one of its own: this one needs no interpreter that is free
        faulthandler.register(STACKS, file=2, all_threads=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_in_fork)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.ask(signal.Signals(number).name)

    def _leave(self) -> None:
        self._waiting = False
        log.info("child retires", why=self.why)
        sys.exit(EX_RECYCLE)


THIS_PROCESS: Final = Retirement()
"""The retirement of this process."""


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block signals while the main process forks a child, until the child calls `install`.

    Before that, the child has the handlers of the main process, and then the default ones, which kill it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_at_sigterm(exitcode: int) -> None:
    """Exit at SIGTERM from now on: billiard sends it to a child that has announced its end."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(exitcode))


def _block() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_fork() -> None:
    for number in (*HANDLED, signal.SIGUSR2):
        ours = str(getattr(signal.getsignal(number), "__module__", "")).startswith("jobcore.")
        if ours:  # handlers that a task has set stay
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _unblock()
