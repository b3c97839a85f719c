"""`/queues`: what waits where, and pausing or limiting a queue."""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import LongrunError
from jobcore.store import queues
from jobcore.store.queues import Queue
from longrun_api.body import json_body
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.submission import QUEUE_NAME, Integer

router = APIRouter(prefix="/queues", tags=["queues"])

COUNT_MAX: Final = 10_000
LISTED_MAX: Final = 1_000
COUNTED: Final = f"counted up to {COUNT_MAX:,}, in the list up to {LISTED_MAX:,}."
QueueName = Annotated[str, Path(pattern=QUEUE_NAME)]


class QueueNotFound(LongrunError):
    """Nobody uses a queue of that name."""

    status = 404
    slug = "queue-not-found"
    title = "There is no such queue"


class QueueInfo(BaseModel):
    """A queue and what it holds."""

    name: str
    paused: bool = Field(description="Nothing is taken from it; what runs goes on.")
    max_running: int | None = Field(description="At most so many of its tasks run at once; null: no limit.")
    ready: int = Field(description=f"Tasks that may be taken now, {COUNTED}")
    oldest_s: float | None = Field(description="Seconds that the first of them has been ready.")
    blocked: int = Field(description=f"Tasks that a limit of their key or of this queue keeps from running, {COUNTED}")
    waiting: int = Field(description=f"Tasks that wait for their time, {COUNTED}")
    running: int
    workers: int = Field(description="Active workers that serve it.")
    children: int = Field(description="Child processes of those workers.")

    @classmethod
    def of(cls, queue: Queue) -> Self:
        """The queue as clients see it."""
        return cls.model_validate(queue, from_attributes=True)


class QueuePage(BaseModel):
    """Queues by name: those that have tasks, workers, a limit or a pause, or had any of them in the last hour."""

    items: list[QueueInfo]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


class QueueChange(BaseModel):
    """What to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    paused: bool = Field(default_factory=bool, description="Whether nothing is taken from it.")
    max_running: Integer | None = Field(
        None, ge=0, le=1_000_000, description="At most so many tasks at once; null takes the limit away."
    )


@router.get("", responses=problem_responses(422, 503))
async def list_queues(
    request: Request,
    after: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> QueuePage:
    """What is ready, blocked, waiting and running in each queue, and how many workers serve it."""
    found = await runtime_of(request).database.call(queues.page, after, limit + 1, LISTED_MAX)
    items = [QueueInfo.of(queue) for queue in found[:limit]]
    return QueuePage(items=items, next=items[-1].name if len(found) > limit else None)


@router.get("/{name}", responses=problem_responses(404, 422, 503))
async def get_queue(request: Request, name: QueueName) -> QueueInfo:
    """One queue."""
    found = await runtime_of(request).database.call(queues.find, name, COUNT_MAX)
    if not found:
        raise QueueNotFound(f"{name} has no task, no worker, no limit and is not paused: is the name right?")
    return QueueInfo.of(found)


@router.patch("/{name}", responses=problem_responses(400, 413, 415, 422, 503), openapi_extra=request_body(QueueChange))
async def change_queue(
    request: Request, name: QueueName, change: Annotated[QueueChange, Depends(json_body(QueueChange))]
) -> QueueInfo:
    """Pause or resume a queue, or limit how many of its tasks run at once; also before its first task.

    It holds from the moment it is answered. What runs goes on.
    """
    runtime = runtime_of(request)
    await runtime.database.call(
        queues.change,
        name,
        paused=change.paused if "paused" in change.model_fields_set else None,
        set_max="max_running" in change.model_fields_set,
        max_running=change.max_running,
    )
    queue = await get_queue(request, name)
    if not queue.paused and queue.ready:
        runtime.waker.wake(name, queue.ready)
    return queue
