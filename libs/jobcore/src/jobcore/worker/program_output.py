"""The output of a program: lines for the job's log, progress that is read from them, and the end of the text."""

from __future__ import annotations

import codecs
import math
import re
import time
from collections.abc import Callable
from typing import Final

from jobcore.errors import InvalidValue
from jobcore.tasks.program import LineProgress, ReadProgress

OUTPUT_MAX: Final = 2**20
"""The most characters of one stream that are kept."""
LINE_MAX: Final = 10_000
"""A line of more characters is logged in parts."""
PROGRESS_S: Final = 0.1
"""The shortest time between two progress reports, in seconds."""
LINE_ENDS: Final = re.compile(r"[\r\n]")


class Output:
    """What a program writes to one of its streams, as bytes come in.

    `on_line(line)` is called for each line; `on_status(line)` for a line that ends with a carriage return, which a
    terminal shows until the next one overwrites it. Such a line is a line too if none overwrites it.
    """

    def __init__(self, on_line: Callable[[str], None], on_status: Callable[[str], object]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._on_line = on_line
        self._on_status = on_status
        self._line = ""
        self._status = ""
        self._text = ""
        self.truncated = False

    @property
    def text(self) -> str:
        """The last OUTPUT_MAX characters."""
        return self._text[-OUTPUT_MAX:]

    def add(self, data: bytes) -> None:
        """The program wrote these bytes. Bytes that are not UTF-8 become U+FFFD."""
        self._add(self._decoder.decode(data))

    def end(self) -> None:
        """The program has ended: the line that has no end is a line."""
        self._add(self._decoder.decode(b"", final=True))
        self._end_line()

    def _add(self, text: str) -> None:
        self._keep(text)
        start = 0
        for end in LINE_ENDS.finditer(text):
            self._extend(text[start : end.start()])
            start = end.end()
            if end.group() == "\n":
                self._end_line()
            elif self._line:
                self._status, self._line = self._line, ""
                self._on_status(self._status)
        self._extend(text[start:])

    def _extend(self, part: str) -> None:
        self._line += part
        while len(self._line) > LINE_MAX:
            line, self._line = self._line[:LINE_MAX], self._line[LINE_MAX:]
            self._on_line(line)

    def _end_line(self) -> None:
        line, self._line, self._status = self._line or self._status, "", ""
        if line.strip():
            self._on_line(line)

    def _keep(self, text: str) -> None:
        self._text += text
        self.truncated = self.truncated or len(self._text) > OUTPUT_MAX
        if len(self._text) > 2 * OUTPUT_MAX:
            self._text = self.text


class Progress:
    """Reads progress from lines, and reports it at most once in PROGRESS_S seconds, and at the end."""

    def __init__(self, read: ReadProgress | None, report: Callable[[float, float | None], None]) -> None:
        self._read = _reader(read)
        self._report = report
        self._waiting: tuple[float, float | None] | None = None
        self._due = 0.0

    def read(self, line: str) -> bool:
        """Whether this line says how far the program is."""
        found = self._read(line)
        if found is None:
            return False
        self._waiting = found if isinstance(found, tuple) else (found, None)
        if time.monotonic() >= self._due:
            self.flush()
        return True

    def flush(self) -> None:
        """Report what is not reported yet."""
        if self._waiting is not None:
            (done, total), self._waiting = self._waiting, None
            self._due = time.monotonic() + PROGRESS_S
            self._report(done, total)


def _reader(read: ReadProgress | None) -> Callable[[str], LineProgress]:
    if read is None:
        return lambda line: None
    if callable(read):
        return read
    try:
        pattern = re.compile(read)
    except (re.error, TypeError) as error:
        raise InvalidValue(f"run: progress: {read!r} is no regular expression: {error}") from None
    if not {"done", "percent"} & set(pattern.groupindex):
        raise InvalidValue(f"run: progress: {pattern.pattern!r} needs a group (?P<done>…) or (?P<percent>…)")
    return lambda line: _matched(pattern, line)


def _matched(pattern: re.Pattern[str], line: str) -> LineProgress:
    found = pattern.search(line)
    if found is None:
        return None
    groups = found.groupdict()
    if (percent := _number(groups.get("percent"))) is not None:
        return percent, 100.0
    done, total = _number(groups.get("done")), _number(groups.get("total"))
    return done if done is None or total is None else (done, total)


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
