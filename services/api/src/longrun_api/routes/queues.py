"""`/queues`: list, pause, resume, limit and delete queues."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import LongrunError
from jobcore.models.caller import Scope
from jobcore.states import Lane
from jobcore.store import queue_deletion, queues
from jobcore.store.queues import Queue
from longrun_api import versions
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import operators_only
from longrun_api.field_types import QUEUE_NAME, WHOLE
from longrun_api.key_parameters import AfterKey
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.schemas import ROOM_NOTE
from longrun_api.schemas_rates import QueueRate, Rate

router = APIRouter(prefix="/queues", tags=["queues"], dependencies=[Depends(operators_only)])

COUNT_MAX: Final = 10_000
LISTED_MAX: Final = 1_000
COUNTED: Final = f"Counted up to {COUNT_MAX:,}, in the list up to {LISTED_MAX:,}."
QueueName = Annotated[str, Path(pattern=QUEUE_NAME, description="Name of the queue.")]


class QueueNotFound(LongrunError):
    """No queue of that name is in use."""

    status = 404
    slug = "queue-not-found"
    title = "There is no such queue"


class QueueInUse(LongrunError):
    """The queue cannot be deleted now."""

    status = 409
    slug = "queue-in-use"
    title = "The queue is in use"


class QueueInfo(BaseModel):
    """A queue, its switches and the number of its tasks by state."""

    name: str
    paused: bool = Field(description="Whether the queue is paused: no task of it starts; running tasks continue.")
    max_running: int | None = Field(description="Maximum number of its tasks that run at once; null: no limit.")
    rate_limit: QueueRate | None = Field(description="How many of its tasks may start within a window; null: no limit.")
    ready: int = Field(description=f"Tasks that may start now. {COUNTED}")
    oldest_s: float | None = Field(
        description="Seconds since the oldest of the first 50 ready tasks became ready; null if none is ready."
    )
    blocked: int = Field(description=f"Tasks that a limit of a key or of this queue keeps from running. {COUNTED}")
    waiting: int = Field(description=f"Tasks whose `run_at` has not come. {COUNTED}")
    unserved: int = Field(
        description="Tasks that are due and that no active worker can run: none serves the queue, or none has their "
        f"task type. {COUNTED}"
    )
    running: int = Field(description="Tasks that run now.")
    workers: int = Field(description="Active workers that serve the queue.")
    children: int = Field(description="Child processes of those workers.")
    room: dict[Lane, int] = Field(description=f"How many more tasks of each lane they could start now. {ROOM_NOTE}")

    @classmethod
    def of(cls, queue: Queue) -> Self:
        """The queue as clients see it."""
        return cls.model_validate({**asdict(queue), "rate_limit": QueueRate.of(queue)})


class QueuePage(BaseModel):
    """Queues by name: those that have tasks, workers, a limit or a pause, or had one of these in the last hour."""

    items: list[QueueInfo]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


class QueueChange(BaseModel):
    """The fields to change; absent fields keep their values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    paused: bool = Field(default_factory=bool, description="Whether the queue is paused: no task of it starts.")
    max_running: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] | None = Field(
        None, description="Maximum number of tasks that run at once; null removes the limit."
    )
    rate_limit: Rate | None = Field(None, description="How many tasks may start within a window; null: no limit.")


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.READ)
async def list_queues(
    request: Request,
    after: AfterKey = "",
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of items in the page.")] = 100,
) -> QueuePage:
    """List queues with the numbers of their ready, blocked, waiting and running tasks and of their workers."""
    found = await runtime_of(request).database.call(queues.page, after, limit + 1, LISTED_MAX)
    items = [QueueInfo.of(queue) for queue in found[:limit]]
    return QueuePage(items=items, next=items[-1].name if len(found) > limit else None)


@router.get(
    "/{name}", response_model=QueueInfo, responses={304: versions.KNOWN, **problem_responses(404, 412, 422, 503)}
)
@needs(Scope.READ)
async def get_queue(request: Request, name: QueueName) -> Response:
    """Get a queue by its name."""
    return _response(request, await _find(request, name))


@router.patch(
    "/{name}",
    response_model=QueueInfo,
    responses=problem_responses(400, 412, 413, 415, 422, 503),
    openapi_extra=request_body(QueueChange),
)
@needs(Scope.OPERATE)
async def change_queue(
    request: Request, name: QueueName, change: Annotated[QueueChange, Depends(json_body(QueueChange))]
) -> Response:
    """Pause, resume or limit a queue. This also works before the queue has its first task.

    The change is in force when the response arrives. Running tasks continue. With `If-Match`, nothing is changed if the
    pause or a limit is another one than when the client got the queue.
    """
    runtime = runtime_of(request)
    given: queues.Settings = {
        "paused": change.paused if "paused" in change.model_fields_set else None,
        "set_max": "max_running" in change.model_fields_set,
        "max_running": change.max_running,
        "set_rate": "rate_limit" in change.model_fields_set,
        "max_starts": change.rate_limit.max_starts if change.rate_limit else None,
        "window_s": change.rate_limit.window_s if change.rate_limit else None,
    }
    if versions.is_guarded(request):
        was = await runtime.database.call(queues.find, name, 1)
        versions.check(request, was and _settings(was))
        if was is None or not await runtime.database.call(queues.change_if, was, **given):
            raise versions.changed()
    else:
        await runtime.database.call(queues.change, name, **given)
    queue = await _find(request, name)
    if not queue.paused and queue.ready:
        runtime.waker.wake(name, queue.ready)
    return _response(request, queue)


async def _find(request: Request, name: str) -> Queue:
    found = await runtime_of(request).database.call(queues.find, name, COUNT_MAX)
    if not found:
        raise not_found(name)
    return found


def _response(request: Request, queue: Queue) -> Response:
    return versions.response(request, QueueInfo.of(queue), _settings(queue))


def _settings(queue: Queue) -> object:
    return queue.paused, queue.max_running, queue.max_starts, queue.window_s


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(404, 409, 422, 503))
@needs(Scope.OPERATE)
async def delete_queue(request: Request, name: QueueName) -> Response:
    """Delete a queue that has no tasks which have not ended and that no worker serves, with its pause and its limit.

    The next task that names the queue creates it again.
    """
    found = await runtime_of(request).database.call(queue_deletion.delete, name)
    if found is None:
        raise not_found(name)
    if not found.empty:
        raise QueueInUse(f"{name} has tasks that have not ended: cancel them, or let them run")
    if found.workers:
        raise QueueInUse(f"{found.workers} live workers serve {name}: stop them, or have them serve other queues")
    return Response(status_code=HTTPStatus.NO_CONTENT)


def not_found(name: str) -> QueueNotFound:
    """The error for an unknown queue."""
    return QueueNotFound(f"{name} has no task, no worker and no limit, and is not paused: check the name")
