"""Processes that are not children of this one: whether one has ended, and signals that never reach another process.

The system gives a pid to a new process once its owner was reaped. So a process is identified by its pid and start time,
and on Linux it is signalled through a pidfd (pidfd_open(2), pidfd_send_signal(2)), which refers to no other process.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

_STARTTIME: Final = 19
"""The index of `starttime` after the name in /proc/PID/stat (proc(5), field 22)."""


def started(pid: int) -> int:
    """When this process started, in a unit of its system; 0 if there is none or the system does not say."""
    if sys.platform == "linux":
        try:
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_STARTTIME])
        except OSError:
            return 0
    answer = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False).stdout
    return zlib.crc32(answer.strip()) if answer.strip() else 0


class Process:
    """The process with this pid and this start time; by default the one that has the pid now."""

    def __init__(self, pid: int, since: int | None = None) -> None:
        self.pid = pid
        self.fd = _open(pid)
        self.since = started(pid) if since is None else since
        self._ended = not self._exists()

    def exited(self, within_s: float = 0.0) -> bool:
        """True once the process has ended; waits up to `within_s` seconds for it (Linux)."""
        if self._ended:
            return True
        if self.fd is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.fd, selectors.EVENT_READ)
                return bool(selector.select(within_s))
        return not self._exists()

    def signal(self, number: int) -> None:
        """Send a signal; does nothing if the process has ended, even if another one has its pid now."""
        if self._ended:
            return
        with suppress(ProcessLookupError):
            if self.fd is not None and sys.platform == "linux":
                signal.pidfd_send_signal(self.fd, number)
            elif self._exists():
                os.kill(self.pid, number)

    def close(self) -> None:
        """Close the pidfd; the process counts as ended from now on."""
        self._ended = True
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def _exists(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return started(self.pid) in (self.since, 0)  # 0: it exists, but its start time is unknown


def _open(pid: int) -> int | None:
    if sys.platform == "linux":
        with suppress(OSError):  # no such process, or a kernel or sandbox without pidfds
            return os.pidfd_open(pid)
    return None
