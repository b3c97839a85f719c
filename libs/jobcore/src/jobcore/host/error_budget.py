"""How long a loop retries after unexpected errors, such as a table that is missing for a moment."""

from __future__ import annotations

from jobcore.host import clock
from jobcore.telemetry import logs

log = logs.get(__name__)


class ErrorBudget:
    """Allows errors that repeat for up to `most_s` seconds; after as long without an error the budget is full again."""

    def __init__(self, what: str, most_s: float) -> None:
        self._what = what
        self._most_s = most_s
        self._since = float("-inf")
        self._last = float("-inf")

    def allows(self, error: Exception) -> bool:
        """Whether to retry after this error. Logs the first of a series with its traceback."""
        now = clock.now()
        if now > self._last + self._most_s:
            self._since = now
            log.error("unexpected error; retrying", what=self._what, exc_info=error)
        self._last = now
        return now <= self._since + self._most_s
