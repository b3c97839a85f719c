"""The position of a reader in the events of a task, across reconnects.

        ┌────────── take(sse): returned once, in order ◀───────────┐
        ▼                                                          │
[ connected ] ── broke(error) ▶ wait ▶ Last-Event-ID: seq ──▶ [ connected ]
        │
        ├── a terminal `state` event, not retried ─▶ [ ended ]
        └── closed(task): it ended at this seq ──────▶ [ ended ]
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from longrun_client.answers import BUSY, TRIES, reason, unreachable
from longrun_client.errors import LongrunError, LongrunUnavailable, ProblemError, UnexpectedAnswer
from longrun_client.models import Event, Task

RETRY_S: Final = 0.25
LONGEST_RETRY_S: Final = 15.0


class Cursor:
    """The position of a reader in the events of one task, across any number of connections. It does no I/O."""

    def __init__(
        self,
        after: int,
        base_url: str,
        patience_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.seq = after
        self.ended = False
        self._base_url = base_url
        self._patience_s = patience_s
        self._clock = clock
        self._jitter = jitter
        self._retry_s = RETRY_S
        self._reached = False
        self._failures = 0
        self._down_since: float | None = None

    def headers(self) -> dict[str, str]:
        """Headers of the next connection."""
        resume = {"Last-Event-ID": str(self.seq)} if self.seq else {}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **resume}

    def opened(self, response: httpx.Response) -> None:
        """Handle the head of a response: an event stream, or 204 if no event is left. Raises UnexpectedAnswer."""
        if response.status_code == httpx.codes.NO_CONTENT:
            self.ended = True
            return
        content_type = response.headers.get("Content-Type", "no content type").partition(";")[0]
        if content_type != "text/event-stream":
            raise UnexpectedAnswer(f"{response.url} answered {content_type} instead of an event stream")
        self._reached = True
        self._failures = 0
        self._down_since = None

    def take(self, sse: ServerSentEvent) -> Event | None:
        """The event, or None if it was returned before or carries no data (a ping, a `retry:`)."""
        if sse.retry is not None:
            self._retry_s = sse.retry / 1000
        if not sse.data:
            return None
        event = _event(sse)
        if event.seq is not None:
            if event.seq <= self.seq:
                return None
            self.seq = event.seq
        self.ended = event.terminal
        return event

    def closed(self, task: Task) -> None:
        """Handle the end of a stream that the server closed: ended if the task has no events after this cursor."""
        self.ended = self.ended or (task.ended and task.seq <= self.seq)

    def broke(self, error: httpx.TransportError | LongrunError | None = None) -> float:
        """Seconds to wait before connecting again. Without an error, the server closed the stream.

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
        backoff_s = max(self._retry_s, min(self._retry_s * 2.0 ** (self._failures - 1), LONGEST_RETRY_S))
        asked_s = error.retry_after_s if isinstance(error, ProblemError) else None
        return max(backoff_s * (1 + self._jitter() / 2), asked_s or 0)

    def _gave_up(self, error: httpx.TransportError | LongrunError) -> LongrunUnavailable:
        if isinstance(error, LongrunUnavailable):
            return error
        if isinstance(error, httpx.TransportError):
            return unreachable(error, self._base_url)
        return LongrunUnavailable(f"{self._base_url} does not answer: {error}")


def _passes(error: LongrunError) -> bool:
    return isinstance(error, LongrunUnavailable) or (isinstance(error, ProblemError) and error.status in BUSY)


def _event(sse: ServerSentEvent) -> Event:
    # httpx-sse repeats the last id for events without one, so read the seq from the data.
    try:
        data = sse.json()
        head = {name: data.pop(name, None) for name in ("seq", "at", "attempt")}
        return Event(kind=sse.event, data=data, **head)
    except (ValidationError, ValueError, TypeError, AttributeError) as error:
        raise UnexpectedAnswer(f"cannot parse an event ({reason(error)}): {sse.data[:200]}") from error
