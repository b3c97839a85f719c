"""Capture of stdout and stderr: what a task prints becomes lines of the worker's log, with the job's id."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from jobcore.host import forks
from jobcore.telemetry import logs, streams

LINE_MAX = 10_000
"""A line of more characters is logged in parts, because a progress bar never ends its line."""

log = logs.get("task")


@contextmanager
def of_job(job_id: str, streams: Iterable[CapturedStream] = ()) -> Iterator[None]:
    """Mark what is logged and printed in this block with the job's id, also in threads that it starts."""
    logs.of_job(job_id)
    try:
        yield
    finally:
        for stream in streams:
            stream.end_line()
        logs.of_job(None)


@contextmanager
def of_job_in_context(job_id: str, streams: Iterable[CapturedStream] = ()) -> Iterator[None]:
    """`of_job` for a job beside others: marks what is logged and printed in the context of this block."""
    logs.of_job_in_context(job_id)
    try:
        yield
    finally:
        for stream in streams:
            stream.end_line()
        logs.of_job_in_context("")


class CapturedStream(io.TextIOBase):
    """Replaces `sys.stdout` or `sys.stderr` (`name`). Outside of jobs it passes text through."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._lock = threading.Lock()
        self._lines: dict[str, str] = {}
        """The line of each job that has no end yet."""
        self._logging = threading.local()
        forks.watch(self)

    def in_fork(self) -> None:
        """Write with locks that nobody holds; lines that have no end yet are the original process's."""
        self._stream = streams.reopened(self._stream)
        self._lock = threading.Lock()
        self._lines = {}

    def write(self, text: str) -> int:
        """Log each complete line."""
        # logging reports its own errors on `sys.stderr`
        job_id = logs.job_id()
        if job_id is None or getattr(self._logging, "now", False):
            return self._stream.write(text)
        with self._lock:
            *lines, rest = (self._lines.get(job_id, "") + text).split("\n")
            if len(rest) > LINE_MAX:
                lines, rest = [*lines, rest], ""
            self._lines[job_id] = rest
        for line in lines:
            self._log(line)
        return len(text)

    def end_line(self) -> None:
        """Log the line of this job that has no end yet."""
        if not self._lines:
            return
        with self._lock:
            line = self._lines.pop(logs.job_id() or "", "")
        self._log(line)

    def _log(self, line: str) -> None:
        if not line.strip():
            return
        self._logging.now = True
        try:
            log.info(line.rstrip("\r"), stream=self._name)
        finally:
            self._logging.now = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the real stream; progress bars and command line libraries read it."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the real stream handles encoding errors."""
        return self._stream.errors

    def writable(self) -> bool:
        """Always true."""
        return True

    def flush(self) -> None:
        """Flush the real stream; a line is logged once it is complete."""
        self._stream.flush()

    def fileno(self) -> int:
        """The descriptor of the real stream; programs that a task starts write there."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Always false."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # buffer, reconfigure, …
