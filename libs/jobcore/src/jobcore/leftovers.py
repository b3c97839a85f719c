"""What one task leaves in its child for the next: put back as it was when the child was fresh.

Restored after each run: working directory, environment and time zone, umask, locale, signal handlers, the mask of
blocked signals and the wake-up descriptor of signals, interval timers (and `alarm`), `sys.path`, `sys.argv`,
`sys.stdin`, `sys.stdout`, `sys.stderr`, the hooks for uncaught exceptions, trace and profile functions, the default
timeout of sockets, the recursion limit.

Not restored: imported modules and what they hold, threads, processes, open files, resource limits, niceness.
"""

from __future__ import annotations

import importlib
import locale
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
SIGNALS: Final = tuple(
    int(number)
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP) and number < getattr(signal, "SIGRTMIN", signal.NSIG)
)
_handler: Final = importlib.import_module("_signal").getsignal
"""What `signal.getsignal` calls, without making an enum of each answer, which takes ten times as long."""
HOOKS: Final = (
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "displayhook"),
    (threading, "excepthook"),
    (sys, "stdin"),
    (sys, "stdout"),
    (sys, "stderr"),
)


class Leftovers:
    """How this process was when it was fresh. Main thread only: it alone may set signal handlers."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._environment, self._raw_environment = dict(os.environ), dict(_raw_environment())
        self._umask = _umask()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._handlers = {number: _handler(number) for number in SIGNALS}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._path, self._argv = list(sys.path), list(sys.argv)
        self._hooks = [(owner, name, getattr(owner, name)) for owner, name in HOOKS]
        self._limits = (socket.getdefaulttimeout(), sys.getrecursionlimit())

    def clear(self) -> None:
        """Put everything back. Whatever cannot be put back does not keep the rest from it."""
        for restore in (
            self._restore_timers,
            self._restore_signals,
            self._restore_folder,
            self._restore_environment,
            self._restore_interpreter,
            self._restore_locale,
        ):
            with suppress(Exception):
                restore()

    def _restore_timers(self) -> None:
        for timer in TIMERS:
            if signal.getitimer(timer) != (0.0, 0.0):
                signal.setitimer(timer, 0)

    def _restore_signals(self) -> None:
        for number, handler in self._handlers.items():
            # None: set by native code; nobody can set it again
            if handler is not None and _handler(number) is not handler:
                signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _restore_folder(self) -> None:
        try:
            moved = os.getcwd() != self._folder
        except OSError:
            moved = True  # it was deleted
        if moved:
            os.chdir(self._folder)
        os.umask(self._umask)

    def _restore_environment(self) -> None:
        if _raw_environment() == self._raw_environment:
            return
        for name in set(os.environ) - set(self._environment):
            del os.environ[name]
        os.environ.update(self._environment)
        time.tzset()

    def _restore_interpreter(self) -> None:
        _refill(sys.path, self._path)
        _refill(sys.argv, self._argv)
        for owner, name, value in self._hooks:
            if getattr(owner, name) is not value:
                setattr(owner, name, value)
        if sys.gettrace() is not None:
            sys.settrace(None)
        if sys.getprofile() is not None:
            sys.setprofile(None)
        socket.setdefaulttimeout(self._limits[0])
        sys.setrecursionlimit(self._limits[1])

    def _restore_locale(self) -> None:
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)


def _refill(values: list[Any], wanted: list[Any]) -> None:
    if values != wanted:
        values[:] = wanted


def _raw_environment() -> Mapping[Any, Any]:
    # comparing `os.environ` itself decodes each variable: 30 µs a job
    return getattr(os.environ, "_data", os.environ)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
