"""How an event travels over Redis: as JSON, whole or, if it is large, only its number."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from jobcore.models import Event
from jobcore.store import json_text

MESSAGE_MAX: Final = 16 * 1024
"""The most characters of an event that is sent whole."""
NEWS: Final = json_text.dumps({"seq": None})
"""The message that there are new events: it has none of them."""


def encode(event: Event) -> str:
    """The message for an event; it has only the seq if the event is large, because PostgreSQL has the rest."""
    message = json_text.dumps(
        {
            "seq": event.seq,
            "at": event.at.isoformat(),
            "attempt": event.attempt,
            "kind": event.kind,
            "data": event.data,
        }
    )
    return message if len(message) <= MESSAGE_MAX else json_text.dumps({"seq": event.seq})


def decode(text: str | bytes) -> Event | None:
    """The event in a message; None if the message has only its seq.

    Raises ValueError, KeyError or TypeError for anything that `encode` did not make.
    """
    raw: dict[str, Any] = json.loads(text)
    if raw.keys() == {"seq"}:
        return None
    return Event(raw["seq"], datetime.fromisoformat(raw["at"]), raw["attempt"], raw["kind"], raw["data"])
