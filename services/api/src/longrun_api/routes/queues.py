"""`/queues`: what waits where, and pausing or limiting a queue."""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import FieldError, InvalidInput, LongrunError
from jobcore.store import queues
from jobcore.store.queues import Queue
from longrun_api.body import json_body
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.submission import QUEUE_NAME

router = APIRouter(prefix="/queues", tags=["queues"])

COUNT_MAX: Final = 10_000
QueueName = Annotated[str, Path(pattern=QUEUE_NAME)]


class QueueNotFound(LongrunError):
    """No queue of that name was ever used."""

    status = 404
    slug = "queue-not-found"
    title = "There is no such queue"


class QueueInfo(BaseModel):
    """A queue and what it holds."""

    name: str
    paused: bool = Field(description="Nothing is taken from it; what runs goes on.")
    max_running: int | None = Field(description="At most so many of its tasks run at once; null: no limit.")
    ready: int = Field(description=f"Tasks that may be taken now, counted up to {COUNT_MAX:,}.")
    oldest_s: float | None = Field(description="Seconds that the first of them has been ready.")
    held: int = Field(description="Tasks that wait for a place of their key or of this queue, counted as above.")
    waiting: int = Field(description="Tasks that wait for their time, counted as above.")
    running: int
    workers: int = Field(description="Active workers that serve it.")
    children: int = Field(description="Child processes of those workers.")

    @classmethod
    def of(cls, queue: Queue) -> Self:
        """The queue as clients see it."""
        return cls.model_validate(queue, from_attributes=True)


class QueueList(BaseModel):
    """Every queue that was ever used, by name."""

    items: list[QueueInfo]


class QueueChange(BaseModel):
    """What to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    paused: bool | None = None
    max_running: int | None = Field(
        None, ge=0, le=1_000_000, description="At most so many tasks at once; null takes the limit away."
    )


@router.get("", responses=problem_responses(503))
async def list_queues(request: Request) -> QueueList:
    """What waits, is held and runs in each queue, and how many workers serve it."""
    found = await runtime_of(request).database.call(queues.page, limit=COUNT_MAX)
    return QueueList(items=[QueueInfo.of(queue) for queue in found])


@router.get("/{name}", responses=problem_responses(404, 422, 503))
async def get_queue(request: Request, name: QueueName) -> QueueInfo:
    """One queue."""
    found = await runtime_of(request).database.call(queues.page, name, COUNT_MAX)
    if not found:
        raise QueueNotFound(f"no task was ever submitted to {name}")
    return QueueInfo.of(found[0])


@router.patch("/{name}", responses=problem_responses(400, 413, 415, 422, 503), openapi_extra=request_body(QueueChange))
async def change_queue(
    request: Request, name: QueueName, change: Annotated[QueueChange, Depends(json_body(QueueChange))]
) -> QueueInfo:
    """Pause or resume a queue, or limit how many of its tasks run at once; also before its first task."""
    if "paused" in change.model_fields_set and change.paused is None:
        raise InvalidInput(FieldError("paused", "must be true or false"))
    runtime = runtime_of(request)
    await runtime.database.call(
        queues.change,
        name,
        paused=change.paused,
        set_max="max_running" in change.model_fields_set,
        max_running=change.max_running,
    )
    queue = await get_queue(request, name)
    if not queue.paused and queue.ready:
        runtime.waker.wake(name, queue.ready)
    return queue
