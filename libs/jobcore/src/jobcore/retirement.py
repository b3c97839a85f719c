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
from collections.abc import Callable
from types import FrameType
from typing import Final

from billiard.pool import EX_RECYCLE

from jobcore import logs

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
STACKS: Final = signal.SIGUSR1
"""Prints the stacks of a child's threads, as it does those of Celery's main process."""

log = logs.get(__name__)


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
        """Main thread of a child only: let no signal end a task, and give forked processes the usual ones again.

        They are caught and not ignored, because programs that a task starts would inherit a signal that is ignored.
        """
        for number in ENDING:
            signal.signal(number, self._signalled)
        signal.signal(STACKS, lambda *_: faulthandler.dump_traceback(file=2, all_threads=True))
        os.register_at_fork(after_in_child=default_signals)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        self.ask(signal.Signals(number).name)

    def _leave(self) -> None:
        self._waiting = False
        log.info("a child leaves for a fresh one", why=self.why)
        sys.exit(EX_RECYCLE)


HERE: Final = Retirement()
"""This process's."""


def leave_at_sigterm(exitcode: int) -> None:
    """At the very end: billiard's main process hurries a child that said it ends."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(exitcode))


def default_signals() -> None:
    """What a process has that no parent prepared: `multiprocessing` ends its own with SIGTERM."""
    for number in (*ENDING, STACKS, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
