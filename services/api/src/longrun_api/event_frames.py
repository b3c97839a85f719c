"""How an event of a task looks in an event stream (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from typing import Any, Final

from fastapi.sse import format_sse_event

from jobcore.models import Event
from jobcore.store import json_text
from longrun_api.times import rfc3339

RECONNECT_MS: Final = 1000
"""How long a client waits before it reconnects, in milliseconds."""


def frame(event: Event, retry_ms: int | None) -> bytes:
    """One event. A live-only event has no id, so that a client resumes after the last stored one.

    `retry_ms` is sent with the first event, because some clients take a block without data for an event.
    """
    seq = None if event.seq is None else str(event.seq)
    return format_sse_event(id=seq, event=event.kind, data_str=json_text.dumps(event_data(event)), retry=retry_ms)


def event_data(event: Event) -> dict[str, Any]:
    """The `data` of an event."""
    return {"seq": event.seq, "at": rfc3339(event.at), "attempt": event.attempt, **event.data}
