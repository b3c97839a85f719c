"""How a pool child leaves: between two messages, with everything stored, for Celery's pool to start a fresh one.

A child retires when a run was interrupted inside it (its modules may be half imported, a library's lock may be taken
for good), and when it gets SIGTERM, SIGINT, SIGQUIT or SIGHUP: from systemd's control-group kill, from a platform
that signals every process, from an operator. None of them touches a running task. Its main process decides how long
that may go on, and the supervisor stops it.
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
"""Prints the stacks of a child's threads, as it does those of Celery's main process."""
HELD_BACK: Final = (*ENDING, STACKS)

log = logs.get(__name__)
_forking = threading.local()
"""The mask of the thread that forks."""


class Retirement:
    """Whether this process is to leave."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._waiting = False

    def ask(self, why: str) -> None:
        """Leave after the current message; at once if there is none."""
        if self.why is None:
            self.why = why
        if self._waiting:
            self._leave()

    def wait(self, wait: Callable[[], object]) -> None:
        """Wait for a message, unless and until this process is to leave; `wait` takes nothing out of the pipe."""
        self._waiting = True
        try:
            if self.why is not None:
                self._leave()
            wait()
        finally:
            self._waiting = False

    def take_signals(self) -> None:
        """Main thread of a child only: let no signal end a task.

        They are caught and not ignored, because programs that a task starts would inherit a signal that is ignored.
        Processes that a task forks have the usual handlers again from their first moment: `multiprocessing` ends its
        own with SIGTERM.
        """
        for number in ENDING:
            signal.signal(number, self._signalled)
        signal.signal(STACKS, lambda *_: faulthandler.dump_traceback(file=2, all_threads=True))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_in_fork)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.ask(signal.Signals(number).name)

    def _leave(self) -> None:
        self._waiting = False
        log.info("a child leaves for a fresh one", why=self.why)
        sys.exit(EX_RECYCLE)


HERE: Final = Retirement()
"""This process's."""


@contextmanager
def held_back() -> Iterator[None]:
    """Main process only: a child forked in this block gets its signals once it has called `take_signals`.

    Until then it has the handlers of the main process, and after them the defaults, which kill it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_at_sigterm(exitcode: int) -> None:
    """At the very end: billiard's main process hurries a child that said it ends."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(exitcode))


def _hold_back() -> None:
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_fork() -> None:
    for number in (*HELD_BACK, signal.SIGUSR2):
        ours = str(getattr(signal.getsignal(number), "__module__", "")).startswith("jobcore.")
        if ours:  # a task's own handlers stay
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _let_through()
