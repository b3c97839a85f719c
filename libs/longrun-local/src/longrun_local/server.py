"""A database server from a wheel, on loopback, with its data in one folder."""

from __future__ import annotations

import secrets
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from longrun_local.errors import StartError
from longrun_local.ports import free_port, is_free

POLL_S = 0.02
STOP_S = 60.0


class EmbeddedServer(ABC):
    """A server process on 127.0.0.1 and `port` (default: a free port, which is kept once the server was ready).

    Only one such object may use `data_dir` at a time: at the start, a server that a killed owner left behind there is
    stopped. The password in `url` is random and stored in `data_dir`, readable only by its owner, so that other users
    of the machine cannot connect.
    """

    title: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    crash_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, port: int | None = None, log: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self._may_move = port is None
        self.log = log or self.data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_before = 0

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for clients, with credentials; available after `prepare`."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The current directory of the server process."""

    @abstractmethod
    def prepare(self) -> list[str]:
        """Prepare the folder for a start without deleting data, and return the server's command line.

        Raises StartError, which says what to do, if this is not possible.
        """

    def ready(self) -> bool:
        """Whether the server accepts clients now; from the first time on it keeps its port."""
        answers = self.answers()
        self._may_move = self._may_move and not answers
        return answers

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server accepts clients now."""

    def repair(self) -> bool:
        """Move away what made the server end at its start; returns whether another start may succeed."""
        return False

    @property
    def pid(self) -> int | None:
        """The process id of the server; None before `start` and after the server has ended."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self, timeout_s: float = 60.0) -> Self:
        """Start the server and wait until it is ready; raises StartError with the end of its log."""
        if not self._start_once(timeout_s) and not (self._can_start_again() and self._start_once(timeout_s)):
            raise StartError(f"{self.title} does not start; the end of {self.log} says:\n{self.log_tail()}")
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and wait; `immediate` leaves its files as a crash would. Does nothing if it does not run."""
        process = self._process
        if process is None:
            return
        process.send_signal(self.crash_signal if immediate else self.stop_signal)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop_leftover(self) -> None:
        """Stop a server that still runs in `folder` after the end of its owner, and wait for its end."""
        leftovers = [process for process in psutil.process_iter(["name"]) if self._works_here(process)]
        for process in self.leaders(leftovers):
            process.send_signal(self.stop_signal)
        _, alive = psutil.wait_procs(leftovers, timeout=STOP_S)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive)

    def leaders(self, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """The server processes to which the stop signal is sent."""
        return list(processes)

    def password(self) -> str:
        """The password of the server, created at the first call."""
        path = self.data_dir / "password"
        path.touch(mode=0o600)
        if not path.read_text():
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def log_tail(self, lines: int = 12) -> str:
        """The last lines that the server wrote."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 8192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def log_of_start(self) -> str:
        """What the server wrote since its latest start."""
        with self.log.open("rb") as log:
            log.seek(self._log_before)
            return log.read().decode(errors="replace")

    def _can_start_again(self) -> bool:
        return self._lost_its_port() or self.repair()

    def _lost_its_port(self) -> bool:
        """Whether another program took the port before the server, which may have another one."""
        return self._may_move and not is_free(self.port)

    def _take_free_port(self) -> None:
        """Choose another port if another program has taken this one since it was chosen."""
        if self._lost_its_port():
            self.port = free_port()

    def _make_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.open("ab").close()
            self.password()
        except OSError as error:
            raise StartError(
                f"{self.title} cannot use its data folder {self.data_dir}: {error.strerror} ({error.filename}); "
                f"if another user created it, make yourself its owner (chown -R), or move it away"
            ) from error

    def _start_once(self, timeout_s: float) -> bool:
        command = self.prepare()
        self._log_before = self.log.stat().st_size
        with self.log.open("ab") as log:
            # A session of its own: only the owner gets Ctrl-C, and stops the servers in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while self.pid is not None and not self.ready():
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(f"{self.title} did not answer within {timeout_s:g} s; see {self.log}")
            time.sleep(POLL_S)  # neither server can notify us when it is ready
        if self.pid is None:
            self._process = None
        return self._process is not None

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return bool(process.name() == self.program and Path(process.cwd()) == self.folder)
        except psutil.Error:
            return False
