"""The state of a child's process, restored after each run to what it was when the child was fresh.

Restored: working directory, environment and time zone, umask, locale, signal handlers, the mask of
blocked signals and the wake-up descriptor of signals, interval timers (and `alarm`), `sys.path`, `sys.argv`,
`sys.stdin`, `sys.stdout`, `sys.stderr`, the hooks for uncaught exceptions, trace and profile functions, the default
timeout of sockets, the recursion limit, the garbage collector, the root logger, resource limits, niceness. The
caller isolates context variables.

Resource limits are compared only after a call of `resource.setrlimit` or `resource.prlimit`, of which the interpreter
tells an audit hook: to ask the system for all of them takes longer than all the rest.

If something cannot be restored (a hard limit that was lowered, another user), the child is replaced.

Not restored: imported modules and their state, threads, processes, open files.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from jobcore.telemetry import logs

TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
STOPPED: Final = [(0.0, 0.0)] * len(TIMERS)
SIGNALS: Final = tuple(
    int(number)
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP) and number < getattr(signal, "SIGRTMIN", signal.NSIG)
)
_signal: Final = importlib.import_module("_signal")
"""What `signal` calls, without making an enum of each answer, which takes ten times as long."""
PATH_MAX: Final = 4096
_buffer: Final = ctypes.create_string_buffer(PATH_MAX)
_getcwd: Final = ctypes.PyDLL(None).getcwd
"""`os.getcwd` gives the interpreter's lock away while it asks: after each job the main thread would wait for the one
that stores results."""
_getcwd.argtypes, _getcwd.restype = (ctypes.c_char_p, ctypes.c_size_t), ctypes.c_void_p
LIMITING: Final = frozenset({"resource.setrlimit", "resource.prlimit"})
"""The audit events of calls that may change a resource limit."""
RESOURCES: Final = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
HOOKS: Final = (
    (sys, "excepthook"),
    (sys, "unraisablehook"),
    (sys, "displayhook"),
    (threading, "excepthook"),
    (sys, "stdin"),
    (sys, "stdout"),
    (sys, "stderr"),
)

log = logs.get(__name__)


class ProcessState:
    """The state of this process when this object was made. For the main thread, which alone may set signal handlers."""

    def __init__(self) -> None:
        self._folder = os.getcwdb()
        self._environment, self._raw_environment = dict(os.environ), dict(_raw_environment())
        self._umask = _umask()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._handlers = _handlers()
        self._mask = _signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._path, self._argv = list(sys.path), list(sys.argv)
        self._hooks = [(owner, name, getattr(owner, name)) for owner, name in HOOKS]
        self._limits = (socket.getdefaulttimeout(), sys.getrecursionlimit())
        self._collects = gc.isenabled()
        self._logging = (logging.root.handlers[:], logging.root.level, logging.root.manager.disable)
        self._resources, self._may_be_limited = _resources(), False
        self._niceness, self._owner = _niceness(), _owner()
        sys.addaudithook(self._hear)

    def restore(self) -> bool:
        """Restore as much as possible; False if something could not be restored."""
        whole = True
        for restore in (
            self._restore_timers,
            self._restore_signals,
            self._restore_folder,
            self._restore_environment,
            self._restore_interpreter,
            self._restore_logging,
            self._restore_locale,
            self._restore_resources,
        ):
            try:
                restore()
            except Exception as error:
                whole = False
                log.warning("cannot restore process state that a task changed", error=repr(error))
        return whole

    def _hear(self, event: str, _: object) -> None:
        if event in LIMITING:
            self._may_be_limited = True

    def _restore_timers(self) -> None:
        if list(map(signal.getitimer, TIMERS)) != STOPPED:
            for timer in TIMERS:
                signal.setitimer(timer, 0)

    def _restore_signals(self) -> None:
        signal.set_wakeup_fd(-1)
        _signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if _handlers() == self._handlers:
            return
        for number, handler in zip(SIGNALS, self._handlers, strict=True):
            if _signal.getsignal(number) is not handler:
                signal.signal(number, handler)  # TypeError for None, a handler of native code

    def _restore_folder(self) -> None:
        if _folder() != self._folder:
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
        if gc.isenabled() is not self._collects:
            (gc.enable if self._collects else gc.disable)()

    def _restore_logging(self) -> None:
        handlers, level, disable = self._logging
        _refill(logging.root.handlers, handlers)
        if logging.root.level != level:
            logging.root.setLevel(level)
        if logging.root.manager.disable != disable:
            logging.disable(disable)

    def _restore_resources(self) -> None:
        if self._may_be_limited:
            for which, limits in zip(RESOURCES, self._resources, strict=True):
                if resource.getrlimit(which) != limits:
                    resource.setrlimit(which, limits)
            self._may_be_limited = False
        if _niceness() != self._niceness:
            os.setpriority(os.PRIO_PROCESS, 0, self._niceness)
        if _owner() != self._owner:
            raise PermissionError("the task changed the user or group of the process")

    def _restore_locale(self) -> None:
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)


def _refill(values: list[Any], wanted: list[Any]) -> None:
    if values != wanted:
        values[:] = wanted


def _folder() -> bytes | None:
    """The working directory; None if it was deleted."""
    return _buffer.value if _getcwd(_buffer, PATH_MAX) else None


def _handlers() -> list[Any]:
    return list(map(_signal.getsignal, SIGNALS))


def _resources() -> list[tuple[int, int]]:
    return list(map(resource.getrlimit, RESOURCES))


def _raw_environment() -> Mapping[Any, Any]:
    # comparing `os.environ` itself would decode each variable, which takes 30 µs per job
    return getattr(os.environ, "_data", os.environ)


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _owner() -> tuple[int, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
