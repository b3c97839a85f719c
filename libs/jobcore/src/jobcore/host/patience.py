"""Errors that nobody foresaw (a table that is away for a moment) are borne for a while, and not for ever."""

from __future__ import annotations

from jobcore.host import clock
from jobcore.telemetry import logs

log = logs.get(__name__)


class Patience:
    """Bears errors that come again and again for up to `most_s` seconds; a pause of that length starts anew."""

    def __init__(self, what: str, most_s: float) -> None:
        self._what = what
        self._most_s = most_s
        self._since = float("-inf")
        self._last = float("-inf")

    def bears(self, error: Exception) -> bool:
        """Whether to try again after this error. The first one is logged with its traceback."""
        now = clock.now()
        if now > self._last + self._most_s:
            self._since = now
            log.error("an unforeseen error; it is tried again", what=self._what, exc_info=error)
        self._last = now
        return now <= self._since + self._most_s
