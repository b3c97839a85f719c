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
from typing import Any, TypeVar

import httpx2
from httpx2 import ServerSentEvent
from pydantic import ValidationError

from longrun_client.answers import reason
from longrun_client.errors import UnexpectedAnswer
from longrun_client.models import Event, Task
from longrun_client.patience import Patience

EventT = TypeVar("EventT", bound=Event)


class StreamCursor:
    """The position of a reader in an event stream, across any number of connections. It does no I/O."""

    def __init__(
        self,
        base_url: str,
        patience_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.ended = False
        self._patience = Patience(base_url, patience_s, clock=clock, jitter=jitter)
        self.broke = self._patience.broke

    @property
    def last_event_id(self) -> str:
        """The id after which to continue; empty at the start."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Headers of the next connection."""
        resume = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        return {"Accept": "text/event-stream", "Cache-Control": "no-store", **resume}

    def opened(self, response: httpx2.Response) -> None:
        """Handle the head of a response: an event stream, or 204 if no event is left. Raises UnexpectedAnswer."""
        if response.status_code == httpx2.codes.NO_CONTENT:
            self.ended = True
            return
        content_type = response.headers.get("Content-Type", "no content type").partition(";")[0]
        if content_type != "text/event-stream":
            raise UnexpectedAnswer(f"{response.url} answered {content_type} instead of an event stream")
        self._patience.reached()

    def take(self, sse: ServerSentEvent) -> Event | None:
        """The event, or None if it carries no data (a ping, a `retry:`) or nothing that the reader lacks."""
        if sse.retry is not None:
            self._patience.retry_s = sse.retry / 1000
        return self.taken(sse) if sse.data else None

    def taken(self, sse: ServerSentEvent) -> Event | None:
        """The event of a block that has data, with the cursor behind it; None if the reader does not lack it."""
        raise NotImplementedError


class Cursor(StreamCursor):
    """The position of a reader in the events of one task."""

    def __init__(self, after: int, base_url: str, patience_s: float, **options: Any) -> None:
        super().__init__(base_url, patience_s, **options)
        self.seq = after

    @property
    def last_event_id(self) -> str:
        """The seq, which is the id of an event."""
        return str(self.seq or "")

    def taken(self, sse: ServerSentEvent) -> Event | None:
        """The event, or None if it was returned before."""
        event = read_event(Event, sse)
        if event.seq is not None:
            if event.seq <= self.seq:
                return None
            self.seq = event.seq
        self.ended = event.terminal
        return event

    def closed(self, task: Task) -> None:
        """Handle the end of a stream that the server closed: ended if the task has no events after this cursor."""
        self.ended = self.ended or (task.ended and task.seq <= self.seq)


def read_event(kind: type[EventT], sse: ServerSentEvent, **fields: str) -> EventT:
    """The event of a block, with the fields of its model taken out of its data; raises UnexpectedAnswer."""
    # httpx2 repeats the last id for events without one, so read the seq from the data.
    try:
        data: Any = sse.json()
        names = kind.model_fields.keys() - {"kind", "data"}
        head = {name: data.pop(name) for name in names & data.keys()}
        return kind(kind=sse.event, data=data, **{"seq": None, **head, **fields})
    except (ValidationError, ValueError, TypeError, AttributeError) as error:
        raise UnexpectedAnswer(f"cannot parse an event ({reason(error)}): {sse.data[:200]}") from error
