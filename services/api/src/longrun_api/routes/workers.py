"""`GET /workers`: live workers and the tasks that they run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from jobcore.models import RunningJob, Worker
from jobcore.models.caller import Scope
from jobcore.states import Lane
from jobcore.store import workers
from longrun_api.auth.scopes import needs
from longrun_api.callers import operators_only
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas import ROOM_NOTE
from longrun_api.times import Utc

router = APIRouter(prefix="/workers", tags=["workers"], dependencies=[Depends(operators_only)])

TASKS_MAX: Final = 10_000


class WorkerTask(BaseModel):
    """A task that the worker runs now; `slot` is the number of the child process that runs it."""

    task_id: UUID
    task_type: str
    lane: Lane
    slot: int
    attempt: int
    started_at: Utc


class WorkerInfo(BaseModel):
    """A live worker. `state` is `active`, or `draining` while it shuts down."""

    id: UUID
    host: str
    pid: int = Field(description="Id of its main process on `host`.")
    queues: list[str]
    concurrency: int = Field(description="Number of child processes.")
    jobs_per_child: int = Field(description="How many async and thread tasks a child runs at once.")
    runs: dict[Lane, int] = Field(description="How many tasks it runs, by lane.")
    room: dict[Lane, int] = Field(description=f"How many more tasks of each lane it could start now. {ROOM_NOTE}")
    version: str
    state: str
    started_at: Utc
    heartbeat_at: Utc
    task_types: list[str] | None = Field(
        description="Task types that the worker can run; null: any type (version 0.1)."
    )
    tasks: list[WorkerTask]

    @classmethod
    def of(cls, worker: Worker, running: list[RunningJob]) -> Self:
        """The worker as clients see it."""
        return cls(
            id=worker.id,
            host=worker.host,
            pid=worker.pid,
            queues=list(worker.queues),
            concurrency=worker.concurrency,
            jobs_per_child=worker.jobs_per_child,
            runs=dict(worker.runs),
            room=dict(worker.room),
            version=worker.version,
            state=worker.state,
            started_at=worker.started_at,
            heartbeat_at=worker.heartbeat_at,
            task_types=None if worker.task_types is None else list(worker.task_types),
            tasks=[
                WorkerTask(
                    task_id=job.task_id,
                    task_type=job.task_type,
                    lane=job.lane,
                    slot=job.slot,
                    attempt=job.attempt,
                    started_at=job.started_at,
                )
                for job in running
            ],
        )


class WorkerList(BaseModel):
    """Live workers, oldest first."""

    items: list[WorkerInfo]

    @classmethod
    def read(cls, connection: Any) -> Self:
        """Read the live workers and their running tasks."""
        live = workers.live(connection)
        jobs: dict[UUID, list[RunningJob]] = defaultdict(list)
        for job in workers.running(connection, [worker.id for worker in live], TASKS_MAX):
            jobs[job.worker_id].append(job)
        return cls(items=[WorkerInfo.of(worker, jobs[worker.id]) for worker in live])


@router.get("", response_model=WorkerList, responses=problem_responses(422, 503))
@needs(Scope.READ)
async def list_workers(request: Request) -> Response:
    """List the live workers and the tasks that their child processes run now: at most 10,000 tasks in total."""
    # read and serialised in a thread: many workers must not block the event loop
    text = await runtime_of(request).database.call(lambda connection: WorkerList.read(connection).model_dump_json())
    return Response(text, media_type="application/json")
