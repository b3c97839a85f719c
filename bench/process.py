"""One child process with its own log file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """`python -m` with this command, in a session of its own; `role` names it and its log."""

    def __init__(self, role: str, command: Sequence[str], env: Mapping[str, str], directory: Path) -> None:
        self.role = role
        directory.mkdir(exist_ok=True)
        self.log = directory / f"{role}.log"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def check(self) -> None:
        """RuntimeError with the end of its log if it has exited."""
        if self._popen.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"{self.role} exited with {self._popen.returncode}; the end of {self.log}:\n{tail}")

    def wait_for_port(self, port: int, timeout_s: float = 90) -> None:
        """Return once something listens there; RuntimeError if the process exits or it takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{self.role} did not listen on port {port} within {timeout_s:.0f} s: see {self.log}")

    def stop(self, timeout_s: float = 45) -> None:
        """SIGTERM, and SIGKILL for its whole process group when that was not enough."""
        if self._popen.poll() is None:
            self._popen.terminate()
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()
