"""The `data` of the events in a stream, for the OpenAPI document: a stream itself is text."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

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


class OfTask(StoredEvent):
    """An event in the stream of many tasks. Compare `seq` where the order within one task matters."""

    task_id: UUID
    task_type: str
    queue: str


class TaskStateEvent(OfTask, StateEvent):
    """A task changed its status."""


class TaskProgressEvent(OfTask, ProgressEvent):
    """A task reported progress."""


class CursorEvent(BaseModel):
    """The reader has every event up to this cursor."""

    cursor: str


STREAM_EVENTS: Final[dict[str, type[StoredEvent]]] = {
    "state": StateEvent,
    "progress": ProgressEvent,
    "log": LogEvent,
    "output": OutputEvent,
    "checkpoint": CheckpointEvent,
}
"""The model of the data of each event, by the name of the event."""
FEED_EVENTS: Final[dict[str, type[BaseModel]]] = {
    "state": TaskStateEvent,
    "progress": TaskProgressEvent,
    "cursor": CursorEvent,
}
"""The same for the stream of many tasks."""
