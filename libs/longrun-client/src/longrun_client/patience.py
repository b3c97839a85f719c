"""How long a client that follows or waits for a task outlasts an outage, and when it tries again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import httpx2

from longrun_client.answers import BUSY, TRIES, unreachable
from longrun_client.errors import LongrunError, LongrunUnavailable, ProblemError

RETRY_S: Final = 0.25
LONGEST_RETRY_S: Final = 15.0


class Patience:
    """Counts failures in a row; it does no I/O. `retry_s` is the shortest delay, in seconds."""

    def __init__(
        self,
        base_url: str,
        patience_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.retry_s = RETRY_S
        self._base_url = base_url
        self._patience_s = patience_s
        self._clock = clock
        self._jitter = jitter
        self._reached = False
        self._failures = 0
        self._down_since: float | None = None

    def reached(self) -> None:
        """The server has answered: an outage is over."""
        self._reached = True
        self._failures = 0
        self._down_since = None

    def broke(self, error: httpx2.TransportError | LongrunError | None = None) -> float:
        """Seconds to wait before the next try. Without an error, the server ended the exchange early.

        Raises the error itself if it is permanent, and LongrunUnavailable if the server was never reached or has been
        unreachable for `patience_s`.
        """
        if isinstance(error, LongrunError) and not _passes(error):
            raise error
        now = self._clock()
        self._down_since = now if self._down_since is None else self._down_since
        self._failures += 1
        never_there = not self._reached and self._failures >= TRIES
        if error is not None and (never_there or now - self._down_since > self._patience_s):
            raise self._gave_up(error) from error
        backoff_s = max(self.retry_s, min(self.retry_s * 2.0 ** (self._failures - 1), LONGEST_RETRY_S))
        asked_s = error.retry_after_s if isinstance(error, ProblemError) else None
        return max(backoff_s * (1 + self._jitter() / 2), asked_s or 0)

    def _gave_up(self, error: httpx2.TransportError | LongrunError) -> LongrunUnavailable:
        if isinstance(error, LongrunUnavailable):
            return error
        if isinstance(error, httpx2.TransportError):
            return unreachable(error, self._base_url)
        return LongrunUnavailable(f"{self._base_url} does not answer: {error}")


def _passes(error: LongrunError) -> bool:
    return isinstance(error, LongrunUnavailable) or (isinstance(error, ProblemError) and error.status in BUSY)
