"""Several API processes that accept connections from one socket: `python -m longrun_api --workers 4`.

The first process binds the socket, starts the others and handles no requests. Each of the others is a complete API as
if it were alone on its host, with connections to PostgreSQL, a keeper and metrics of its own, and its number in its log
lines. Each writes a byte every second, its beat, into a pipe to the first one.

    a process dies, or stays silent for HUNG_TICKS ──▶ it is killed and replaced
    a process ends before its first beat ────────────▶ all end, with its exit code: it would fail the next time too
    SIGTERM, SIGINT ─────────────────────────────────▶ all drain, as one process does, then the first one ends
    the first process dies ──────────────────────────▶ the others cannot write their beat, and drain
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from socket import socket
from types import FrameType
from typing import Final

from jobcore.telemetry import logs

TICK_S: Final = 1.0
HUNG_TICKS: Final = 30
"""Ticks of the first process without a beat. A clock would count the time in which all of them were frozen, too."""
STARTING_TICKS: Final = 120
"""The same before the first beat."""
NUMBER: Final = "LONGRUN_API_PROCESS"
"""The environment variable with the number of a process, from 1; a replacement has the number of its predecessor."""

log = logs.get(__name__)


def number() -> str | None:
    """The number of this process among its siblings; None if it has none."""
    return os.environ.get(NUMBER)


async def beat(pipe: int) -> None:
    """Tell the first process that this one works; if there is no first process any more, begin to shut down."""
    try:
        os.write(pipe, b".")
    except BlockingIOError:
        pass  # the first process is frozen
    except OSError:
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class _Sibling:
    number: str
    process: subprocess.Popen[bytes]
    pipe: int
    silent_ticks: int = 0
    has_started: bool = False

    def listen(self) -> None:
        """Read the beats that have come, after a tick."""
        self.silent_ticks += 1
        with suppress(BlockingIOError):
            if os.read(self.pipe, 4096):
                self.silent_ticks, self.has_started = 0, True

    @property
    def is_hung(self) -> bool:
        return self.silent_ticks > (HUNG_TICKS if self.has_started else STARTING_TICKS)


@dataclass(slots=True)
class Siblings:
    """`count` processes that run `command` and accept from `listener`.

    The command gets two more arguments: `--listener` and `--beat` with the descriptors of the socket and of the pipe.
    """

    command: Sequence[str]
    listener: socket
    count: int
    _running: list[_Sibling] = field(default_factory=list)
    _is_asked_to_stop: bool = False
    _is_stopping: bool = False
    _exit_code: int = 0

    def run(self) -> int:
        """Start the processes and replace those that die, until a signal stops them; returns the exit code."""
        wake = self._wake_on_signals()
        self._running = [self._start(str(number)) for number in range(1, self.count + 1)]
        tick_at = time.monotonic() + TICK_S
        while self._running:
            if self._is_asked_to_stop and not self._is_stopping:
                self._stop()
            if select.select([wake], [], [], max(tick_at - time.monotonic(), 0.0))[0]:
                os.read(wake, 4096)
            is_tick = time.monotonic() >= tick_at
            if is_tick:
                tick_at = time.monotonic() + TICK_S
            self._running = [after for each in self._running if (after := self._looked_after(each, is_tick))]
        return self._exit_code

    def _wake_on_signals(self) -> int:
        """Returns a pipe that can be read after each signal."""

        def handle(signum: int, _frame: FrameType | None) -> None:
            if signum != signal.SIGCHLD:
                self._is_asked_to_stop = True

        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(signum, handle)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        return wake

    def _looked_after(self, sibling: _Sibling, is_tick: bool) -> _Sibling | None:
        """The process, or its replacement; None if it has ended and is not replaced."""
        if is_tick and not self._is_stopping:
            sibling.listen()
            if sibling.is_hung:
                log.error("an API process is hung: it is killed", process=sibling.number, pid=sibling.process.pid)
                sibling.process.kill()
                sibling.process.wait()
        code = sibling.process.poll()
        if code is None:
            return sibling
        sibling.listen()  # it may have written its first beat just before it ended
        os.close(sibling.pipe)
        if self._is_stopping:
            self._exit_code = max(self._exit_code, _shell_code(code))
            return None
        log.error("an API process has ended", process=sibling.number, pid=sibling.process.pid, exit_code=code)
        if sibling.has_started:
            return self._start(sibling.number)
        self._exit_code = _shell_code(code) or 1
        self._is_asked_to_stop = True
        return None

    def _start(self, number: str) -> _Sibling:
        ours, theirs = os.pipe()
        for end in (ours, theirs):
            os.set_blocking(end, False)
        descriptors = self.listener.fileno(), theirs
        arguments = ["--listener", str(descriptors[0]), "--beat", str(theirs)]
        environment = {**os.environ, NUMBER: number}
        try:
            process = subprocess.Popen([*self.command, *arguments], pass_fds=descriptors, env=environment)
        finally:
            os.close(theirs)
        return _Sibling(number, process, ours)

    def _stop(self) -> None:
        """Have all processes drain. Only they still hold the socket then, so it closes when they close it."""
        self._is_stopping = True
        self.listener.close()
        for sibling in self._running:
            sibling.process.send_signal(signal.SIGTERM)


def _shell_code(code: int) -> int:
    """The exit code as a shell shows it. A process that has not set up its handlers yet is ended by SIGTERM itself."""
    return code if code >= 0 else 0 if code == -signal.SIGTERM else 128 - code


def command(host: str, port: int) -> list[str]:
    """The command of one process."""
    return [sys.executable, "-m", "longrun_api", "--host", host, "--port", str(port), "--workers", "1"]
