"""The events of one run that wait to be stored, in memory: log lines, output and progress in order."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from jobcore.errors import InvalidValue
from jobcore.models import NewEvent
from jobcore.worker.output import Piece, check_fits

PROGRESS_S: Final = 1.0
"""PostgreSQL keeps at most one progress event of a run in this many seconds."""
MESSAGE_MAX: Final = 10_000
"""The most characters of a log line; the rest is cut off."""
LONG_LINE: Final = 1_000
"""A log line counts once more for each of this many characters, output for each of this many bytes."""
BUFFERED_MAX: Final = 1_000
"""The most events that may wait to be stored; a long one counts as several."""
BATCH_MAX: Final = 5_000
"""The most events that are stored in one statement, some megabytes; a long one counts as several."""
WAITING_MAX: Final = 10_000
"""Further log lines are dropped while so many wait to be stored. Only an async task gets there: it cannot wait."""
LEAST_LINES: Final = 1_000
"""The log lines that every run may add, however many events earlier runs stored."""
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Buffered:
    """What was taken out of a buffer: events, and the latest progress if it has changed since the last time."""

    events: tuple[NewEvent, ...]
    progress: dict[str, Any] | None
    output_bytes: int = 0
    """What the output among the events counts."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that waits; `at` is on the monotonic clock, `size` how many events it counts as."""

    at: float
    kind: str
    data: dict[str, Any]
    size: int
    output_bytes: int


NOTHING: Final = Buffered((), None)


class EventBuffer:
    """Collects the events of one run until they are stored. Any thread may call it.

    `log_lines` is the most events that a job may have before its log lines are dropped, `seq` how many it has now.
    `output_bytes` is the most that the output of a job may count, `emitted` what it counts now.
    """

    def __init__(self, log_lines: int, seq: int, output_bytes: int = sys.maxsize, emitted: int = 0) -> None:
        self._lock = threading.Lock()
        self._log_lines = log_lines
        self._lines_left = max(LEAST_LINES, log_lines - seq)
        self._dropped = 0
        self._hasty = 0
        self._output_bytes = output_bytes
        self._emitted = emitted
        self._ended = False
        self._events: deque[_Waiting] = deque()
        self._size = 0
        self._progress: dict[str, Any] | None = None
        self._progress_kept_at = float("-inf")
        self.hide: Callable[[str], str] = str
        """Hides the secrets of the job's input in a log line."""

    def in_fork(self) -> None:
        """This process was forked: what waits is stored by the original process, so it is dropped here."""
        self._lock = threading.Lock()
        self._events.clear()
        self._size = self._dropped = self._hasty = 0
        self._progress = None

    @property
    def size(self) -> int:
        """How many events wait to be stored; a long one counts as several."""
        return self._size

    @property
    def full(self) -> bool:
        """True while more than BUFFERED_MAX events wait to be stored."""
        return self._size > BUFFERED_MAX

    def add_line(self, level: str, message: str) -> bool:
        """Add a log line; False if it was dropped: the job's log is full, or WAITING_MAX lines wait to be stored."""
        line = printable(self.hide(message)[:MESSAGE_MAX])
        lines = 1 + len(line) // LONG_LINE
        with self._lock:
            if self._lines_left <= 0:
                self._dropped += 1
                return False
            if self._size >= WAITING_MAX:
                self._hasty += 1
                return False
            self._lines_left -= lines
            self._add("log", {"level": level, "message": line}, lines)
            return True

    def add_output(self, piece: Piece) -> None:
        """Add a piece of output. Raises InvalidValue if it does not fit, or if the run has ended; drops none."""
        with self._lock:
            if self._ended:
                raise InvalidValue("emit: this run has ended, so nothing can be added to its output")
            check_fits(piece.size, self._emitted, self._output_bytes)
            self._emitted += piece.size
            self._add("output", piece.data, 1 + piece.size // LONG_LINE, piece.size)

    def add_traceback(self, text: str) -> None:
        """Add the traceback of the error that ended the run as a log line, which is never dropped."""
        with self._lock:
            self._add("log", {"level": "error", "message": printable(text)[:MESSAGE_MAX], "traceback": True})

    def set_progress(self, progress: dict[str, Any]) -> bool:
        """Replace the latest progress; True if it became an event, which happens once in PROGRESS_S seconds."""
        now = time.monotonic()
        with self._lock:
            self._progress = progress
            keeps = now - self._progress_kept_at >= PROGRESS_S
            if keeps:
                self._progress_kept_at = now
                self._add("progress", progress)
            return keeps

    def take(self) -> Buffered:
        """Take out the first events, as many as BATCH_MAX allows; the caller stores them."""
        with self._lock:
            return self._take(BATCH_MAX)

    def take_last(self) -> Buffered:
        """Take everything out at the end of the run, with the latest progress and the number of dropped lines.

        No output can be added afterwards.
        """
        with self._lock:
            self._ended = True
            if not (self._events or self._progress is not None or self._dropped or self._hasty):
                return NOTHING
            if self._progress is not None and not any(event.data is self._progress for event in self._events):
                self._add("progress", self._progress)
            if self._hasty:
                self._add("log", _dropped(self._hasty, "they came faster than they could be stored"))
            if self._dropped:
                self._add("log", _dropped(self._dropped, f"a job may have {self._log_lines:,} (LONGRUN_MAX_LOG_LINES)"))
            self._dropped = self._hasty = 0
            return self._take()

    def _add(self, kind: str, data: dict[str, Any], size: int = 1, output_bytes: int = 0) -> None:
        self._events.append(_Waiting(time.monotonic(), kind, data, size, output_bytes))
        self._size += size

    def _take(self, most: int = sys.maxsize) -> Buffered:
        now = time.monotonic()
        taken: list[_Waiting] = []
        size = 0
        while self._events and (not taken or size + self._events[0].size <= most):
            taken.append(self._events.popleft())
            size += taken[-1].size
        self._size -= size
        progress, self._progress = self._progress, None
        events = tuple(NewEvent(event.kind, event.data, now - event.at) for event in taken)
        return Buffered(events, progress, sum(event.output_bytes for event in taken))


def refusal_line(event: NewEvent, error: Exception) -> NewEvent:
    """The log line that takes the place of an event that PostgreSQL refused."""
    message = printable(f"this job's {event.kind} event could not be stored: {error}")[:LONG_LINE]
    return NewEvent("log", {"level": "warning", "message": message, "unstorable": True}, event.age_s)


def printable(text: str) -> str:
    """The text with U+FFFD for what PostgreSQL cannot store: NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return UNSTORABLE.sub("\ufffd", text)


def _dropped(count: int, why: str) -> dict[str, Any]:
    return {"level": "warning", "message": f"{count:,} lines of this log were dropped: {why}"}
