"""Supervise a process: restart it with growing pauses, and stop it together with all that it started."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from longrun_local import sessions
from longrun_local.errors import StartError
from longrun_local.output import Output

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
HEALTHY_S: Final = 30.0
ORPHANS_S: Final = 10.0
POLL_S: Final = 0.05
BRIEF_S: Final = 2.0
"""Seconds that running jobs get to finish when their worker is replaced; then they are handed back."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process to keep running. `command` is called before every start and may raise StartError.

    `ready` returns whether it serves now (None: no one waits for it). `stop_s` is how many seconds it may take to end
    after `stop_signal`; `hurry_signal` asks it to give up what it still runs; a service that is not `killable` gets
    its time even after a second Ctrl-C. Output that is not `shown` is only written to the log file. It inherits the
    descriptors `inherits`.
    """

    name: str
    command: Callable[[], list[str]]
    env: Mapping[str, str]
    ready: Callable[[], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 10.0
    hurry_signal: signal.Signals | None = None
    killable: bool = True
    shown: bool = True
    inherits: tuple[int, ...] = ()


def how_it_ended(code: int) -> str:
    """The return code of a process as text: `exited with code 1`, `was killed by SIGKILL`."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


class Supervisor(threading.Thread):
    """Keeps a service running until it is asked to stop."""

    def __init__(self, service: Service, output: Output) -> None:
        super().__init__(name=service.name, daemon=True)
        self.service = service
        self.failures = 0
        self.last_lines: deque[str] = deque(maxlen=12)
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The current process id; None while the process does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def run(self) -> None:
        """Start the process, wait for its end, pause, and repeat."""
        while not self._stopping.is_set():
            started = time.monotonic()
            ended = self._run_once()
            if self._stopping.is_set():
                break
            self.failures = 1 if time.monotonic() - started > HEALTHY_S else self.failures + 1
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self.failures - 1, 16))
            self._output.say(f"{self.service.name} {ended}; restarting it in {pause:g} s")
            self._stopping.wait(pause)

    def ask_to_stop(self) -> None:
        """Send the stop signal and do not restart it; `join` waits for its end."""
        with self._lock:
            self._stopping.set()
            self._send(self.service.stop_signal)

    def hurry(self) -> None:
        """Ask a process that is stopping to give up what it still runs, if it knows such a request."""
        if self.service.hurry_signal is not None:
            with self._lock:
                self._send(self.service.hurry_signal)

    def leave(self) -> None:
        """Stop by itself: after BRIEF_S it gives up what it still runs, after `stop_s` it is killed."""
        self.ask_to_stop()
        for seconds, act in ((BRIEF_S, self.hurry), (self.service.stop_s, self.kill)):
            timer = threading.Timer(seconds, act)
            timer.daemon = True
            timer.start()

    def kill(self) -> None:
        """SIGKILL the process and all that it started."""
        self._stopping.set()
        if self._process is not None and self.is_alive():
            sessions.kill_all(self._process.pid)

    def _send(self, signum: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signum)

    def _run_once(self) -> str:
        """Run the process to its end; return how it ended as text."""
        try:
            command = self.service.command()
            with self._lock:
                if self._stopping.is_set():
                    return "was stopped"
                self._process = process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=dict(self.service.env),
                    pass_fds=self.service.inherits,
                    # A session of its own: only the launcher gets Ctrl-C, and stops the services in order.
                    start_new_session=True,
                )
        except (StartError, OSError) as error:
            return f"cannot start ({error})"
        reader = threading.Thread(target=self._copy_lines, args=[process], daemon=True)
        reader.start()
        code = process.wait()
        self._await_orphans(process.pid)
        reader.join(timeout=1)
        return how_it_ended(code)

    def _copy_lines(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\r\n")
                self.last_lines.append(line)
                self._output.line(self.service.name, line, shown=self.service.shown)

    def _await_orphans(self, session: int) -> None:
        """Give processes that it started time to end (a worker's supervisor hands jobs back), then kill them."""
        deadline = time.monotonic() + ORPHANS_S
        while sessions.members(session) and time.monotonic() < deadline:
            time.sleep(POLL_S)  # the kernel reports only the end of our own children
        sessions.kill_all(session)
