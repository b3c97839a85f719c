"""A database server out of a wheel that runs on loopback and keeps its data in one folder."""

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
from longrun_local.ports import free_port

POLL_S = 0.02
STOP_S = 60.0


class EmbeddedServer(ABC):
    """One server process on 127.0.0.1 at `port` (default: a free one, the same for this object's life).

    `data_dir` belongs to one such object at a time: a server that an earlier, killed owner left running
    there is stopped at the start. The password in `url` is random, made once and kept in `data_dir`,
    readable by its owner alone, so that other users of the machine stay out.
    """

    title: ClassVar[str]
    program: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    crash_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path, port: int | None = None, log: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.log = log or self.data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, credentials included; known once `prepare` ran."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder that the server process works in (its current directory)."""

    @abstractmethod
    def prepare(self) -> list[str]:
        """Make the folder fit for a start, never deleting data, and return the server's command line.

        StartError says what to do when that needs a person.
        """

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server answers now."""

    @property
    def pid(self) -> int | None:
        """The process id of the server; None before `start`, and once the server ended."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self, timeout_s: float = 60.0) -> Self:
        """Start and wait until it answers; StartError with the end of its log if it does not."""
        # Twice: `prepare` heals what only a failed start can show.
        if not self._start_once(timeout_s) and not self._start_once(timeout_s):
            raise StartError(f"{self.title} does not start; the end of {self.log} says:\n{self.log_tail()}")
        return self

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it and wait; `immediate` leaves the disk as a crash would. Fine if it does not run."""
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
        """Stop a server that still runs in `folder` although its owner is gone, and wait for its end."""
        leftovers = [process for process in psutil.process_iter(["name"]) if self._works_here(process)]
        for process in self.leaders(leftovers):
            process.send_signal(self.stop_signal)
        _, alive = psutil.wait_procs(leftovers, timeout=STOP_S)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive)

    def leaders(self, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """Those of the server's processes that take its stop signal."""
        return list(processes)

    def password(self) -> str:
        """The server's password, made at the first call."""
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

    def _make_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.open("ab").close()
            self.password()
        except OSError as error:
            raise StartError(
                f"{self.title} cannot use its data folder {self.data_dir}: {error.strerror} ({error.filename}); "
                f"was it made by another user? Give it to yourself (chown -R), or move it away"
            ) from error

    def _start_once(self, timeout_s: float) -> bool:
        command = self.prepare()
        with self.log.open("ab") as log:
            # Its own session: a Ctrl-C in the terminal is for the owner, who stops things in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout_s
        while self.pid is not None and not self.ready():
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(f"{self.title} did not answer within {timeout_s:g} s; see {self.log}")
            time.sleep(POLL_S)  # neither server can call back when it is ready
        if self.pid is None:
            self._process = None
        return self._process is not None

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return bool(process.name() == self.program and Path(process.cwd()) == self.folder)
        except psutil.Error:
            return False
