"""What a task prints, to stdout or stderr, goes into the worker's log line by line, with the job's id."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from jobcore.telemetry import logs

LINE_MAX = 10_000
"""A line may be so long (characters) before it is logged in parts: a progress bar never ends its own."""

log = logs.get("task")


@contextmanager
def of_job(job_id: str, streams: Iterable[CapturedStream] = ()) -> Iterator[None]:
    """What is logged and printed in this block is the job's, also in threads that it starts."""
    logs.of_job(job_id)
    try:
        yield
    finally:
        for stream in streams:
            stream.end_line()
        logs.of_job(None)


class CapturedStream(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`, whichever `name` says; outside of jobs it passes text through."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._lock = threading.Lock()
        self._line = ""
        self._logging = threading.local()

    def write(self, text: str) -> int:
        """Log each line that is complete."""
        # a log that cannot be written says so on `sys.stderr`
        if logs.job_id() is None or getattr(self._logging, "now", False):
            return self._stream.write(text)
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            if len(self._line) > LINE_MAX:
                lines, self._line = [*lines, self._line], ""
        for line in lines:
            self._log(line)
        return len(text)

    def end_line(self) -> None:
        """Log what was begun."""
        if not self._line:
            return
        with self._lock:
            line, self._line = self._line, ""
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
        """Of the real stream: progress bars and command line libraries ask for it."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """Of the real stream."""
        return self._stream.errors

    def writable(self) -> bool:
        """Yes."""
        return True

    def flush(self) -> None:
        """A line is logged when it is complete."""
        self._stream.flush()

    def fileno(self) -> int:
        """Of the real output: programs that a task starts write there."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """No."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # buffer, reconfigure, …
