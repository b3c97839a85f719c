"""How the feed looks in an event stream: its events, and its cursors, which are the ids of events."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from fastapi.sse import format_sse_event

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import FeedEvent, FeedPosition
from jobcore.store import json_text
from longrun_api import cursors
from longrun_api.event_frames import event_data

NUMBER_BYTES: Final = 8
ID_BYTES: Final = 16


def event_frame(found: FeedEvent) -> bytes:
    """An event; its id is the cursor behind it."""
    task = {"task_id": str(found.position.job_id), "task_type": found.task_type, "queue": found.queue}
    data = json_text.dumps(task | event_data(found.event))
    return format_sse_event(id=cursor(found.position), event=found.event.kind, data_str=data)


def cursor_frame(position: FeedPosition, retry_ms: int | None = None) -> bytes:
    """An event `cursor`: the reader has every event up to here.

    It has data, because clients pass over blocks without data, and some with their id.
    """
    text = cursor(position)
    return format_sse_event(id=text, event="cursor", data_str=json_text.dumps({"cursor": text}), retry=retry_ms)


def cursor(position: FeedPosition) -> str:
    """The text of a position."""
    number, seq = position.txid.to_bytes(NUMBER_BYTES), position.seq.to_bytes(NUMBER_BYTES)
    return cursors.to_text(number + position.job_id.bytes + seq)


def position(name: str, text: str) -> FeedPosition:
    """The position of a cursor that was given under this name; raises InvalidInput."""

    def read(data: bytes) -> FeedPosition:
        number, job_id, seq = data[:NUMBER_BYTES], data[NUMBER_BYTES:-NUMBER_BYTES], data[-NUMBER_BYTES:]
        if len(data) != NUMBER_BYTES + ID_BYTES + NUMBER_BYTES:
            raise ValueError("has another length")
        found = FeedPosition(int.from_bytes(number), UUID(bytes=job_id), int.from_bytes(seq))
        if max(found.txid, found.seq) >= 2**63:
            raise ValueError("is larger than any number of PostgreSQL")
        return found

    try:
        return cursors.from_text(text, read)
    except InvalidInput:
        raise InvalidInput(FieldError(name, "must be the id of an event of this stream, unchanged")) from None
