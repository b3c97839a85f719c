"""What a task prints goes into the worker's log line by line, with the job's id, as what it logs does."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from jobcore import logs

LINE_MAX = 10_000
"""A line may be so long (characters) before it is logged in parts: a progress bar never ends its own."""

log = logs.get("task")


@contextmanager
def of_job(job_id: str, prints: Prints | None) -> Iterator[None]:
    """What this thread logs and prints in this block is the job's."""
    with structlog.contextvars.bound_contextvars(job_id=job_id):
        try:
            yield
        finally:
            if prints is not None:
                prints.end_line()


class Prints(io.TextIOBase):
    """Stands for `sys.stdout`; outside of jobs, and in threads that a task started, it passes text through."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout
        self._lock = threading.Lock()
        self._line = ""

    def write(self, text: str) -> int:
        """Log each line that is complete."""
        if "job_id" not in structlog.contextvars.get_contextvars():
            return self._stdout.write(text)
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            if len(self._line) > LINE_MAX:
                lines, self._line = [*lines, self._line], ""
        for line in lines:
            _log(line)
        return len(text)

    def end_line(self) -> None:
        """Log what was begun."""
        with self._lock:
            line, self._line = self._line, ""
        _log(line)

    def writable(self) -> bool:
        """Yes."""
        return True

    def flush(self) -> None:
        """A line is logged when it is complete."""
        self._stdout.flush()

    def fileno(self) -> int:
        """Of the real output: programs that a task starts write there."""
        return self._stdout.fileno()

    def isatty(self) -> bool:
        """No."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stdout, name)  # buffer, reconfigure, …


def _log(line: str) -> None:
    if line.strip():
        log.info(line.rstrip("\r"), stream="stdout")
