"""The folder of a local Longrun: its lock, and processes that a killed launcher left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from jobcore.sealing.keys import new_key
from longrun_local.errors import StartError

MARK: Final = "LONGRUN_LAUNCHED_FROM"
LEFTOVER_S: Final = 10.0


class Home:
    """LONGRUN_HOME: `data/`, `logs/` and the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.data = self.path / "data"

    @property
    def mark(self) -> Mapping[str, str]:
        """Environment variables by which a later launcher recognises processes that were started from this folder."""
        # A library may change the process title (setproctitle), which would overwrite the environment.
        return {MARK: str(self.path), "SPT_NOENV": "1"}

    @property
    def secret_key(self) -> str:
        """The key that encrypts inputs with secrets, unless the settings have keys; made at the first use."""
        path = self.data / "secret-key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(new_key())
        return path.read_text()

    @contextmanager
    def locked(self, url: str) -> Iterator[None]:
        """Lock this folder; raises StartError, with the other launcher's pid and URL, if it is locked."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self.data.mkdir(exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise StartError(
                f"LONGRUN_HOME={self.path} cannot be used: {error.strerror} ({error.filename}); "
                "choose a folder that you own, or make yourself the owner of this one (chown -R)"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StartError(self._taken(lock.name)) from None
            lock.truncate(0)
            json.dump({"pid": os.getpid(), "url": url}, lock)
            lock.flush()
            yield
            lock.truncate(0)

    def leftovers(self) -> list[psutil.Process]:
        """Running processes that a launcher of this folder started; call it with the lock held."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def stop_leftovers(self) -> int:
        """Stop the processes that an earlier launcher left behind; return their number."""
        leftovers = self.leftovers()
        for process in leftovers:
            # Only to top processes: the main process of a worker stops its children.
            if process.ppid() not in {other.pid for other in leftovers}:
                _send(process, signal.SIGTERM)
        psutil.wait_procs(leftovers, timeout=LEFTOVER_S)
        while alive := self.leftovers():
            for process in alive:
                _send(process, signal.SIGKILL)
            psutil.wait_procs(alive)
        return len(leftovers)

    def _taken(self, lock: str) -> str:
        try:
            other = json.loads(Path(lock).read_text())
            who = f" (pid {other['pid']}, {other['url']})"
        except (ValueError, KeyError):
            who = ""
        return (
            f"Longrun already runs on {self.path}{who}: use that one, stop it with Ctrl-C, or choose "
            "another folder and port, for example LONGRUN_HOME=.longrun-2 LONGRUN_PORT=8010"
        )

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and process.environ().get(MARK) == str(self.path)
        except (psutil.Error, OSError):
            return False


def _send(process: psutil.Process, signum: signal.Signals) -> None:
    try:
        process.send_signal(signum)
    except psutil.NoSuchProcess:
        return
