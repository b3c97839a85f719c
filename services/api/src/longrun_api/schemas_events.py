"""The `data` of the events in a stream, for the OpenAPI document: a stream itself is text."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from jobcore.states import Status
from longrun_api.times import Utc


class StoredEvent(BaseModel):
    """What every event has. Events may gain fields."""

    model_config = ConfigDict(extra="allow")

    seq: int | None = Field(description="Number of the event within its task, as in `id`; null: sent live only.")
    at: Utc
    attempt: int = Field(description="The attempt that it belongs to; 0: before the first.")


class StateEvent(StoredEvent):
    """The task changed its status. `reason`, `worker_id`, `error` and others say more, where they apply."""

    status: Status


class ProgressEvent(StoredEvent):
    """The task reported progress."""

    done: int | float
    total: int | float | None
    message: str | None


class LogEvent(StoredEvent):
    """The task logged a line."""

    level: str
    message: str


class OutputEvent(StoredEvent):
    """The task emitted a piece of its output."""

    name: str
    data: Any


class CheckpointEvent(StoredEvent):
    """The task stored a checkpoint."""

    bytes: int


STREAM_EVENTS: Final[dict[str, type[StoredEvent]]] = {
    "state": StateEvent,
    "progress": ProgressEvent,
    "log": LogEvent,
    "output": OutputEvent,
    "checkpoint": CheckpointEvent,
}
"""The model of the data of each event, by the name of the event."""
