"""`GET /workers`: who runs what."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from jobcore.models import RunningJob, Worker
from jobcore.store import workers
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas import Utc

router = APIRouter(prefix="/workers", tags=["workers"])

TASKS_MAX: Final = 10_000


class WorkerTask(BaseModel):
    """A task that a worker runs now, and in which of its children."""

    task_id: UUID
    task_type: str
    slot: int
    attempt: int
    started_at: Utc


class WorkerInfo(BaseModel):
    """A worker that is alive: `active`, or `draining` before it ends."""

    id: UUID
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    version: str
    state: str
    started_at: Utc
    heartbeat_at: Utc
    task_types: list[str] | None = Field(description="What it can run; null: version 0.1, which takes any type.")
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
            version=worker.version,
            state=worker.state,
            started_at=worker.started_at,
            heartbeat_at=worker.heartbeat_at,
            task_types=None if worker.task_types is None else list(worker.task_types),
            tasks=[
                WorkerTask(
                    task_id=job.task_id,
                    task_type=job.task_type,
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
        """Those that are alive now, with what they run."""
        live = workers.live(connection)
        jobs: dict[UUID, list[RunningJob]] = defaultdict(list)
        for job in workers.running(connection, [worker.id for worker in live], TASKS_MAX):
            jobs[job.worker_id].append(job)
        return cls(items=[WorkerInfo.of(worker, jobs[worker.id]) for worker in live])


@router.get("", response_model=WorkerList, responses=problem_responses(503))
async def list_workers(request: Request) -> Response:
    """The workers that are alive, and what each of their children runs now: up to 10,000 tasks in all."""
    # read and written in a thread: many workers must not hold up the event loop
    text = await runtime_of(request).database.call(lambda connection: WorkerList.read(connection).model_dump_json())
    return Response(text, media_type="application/json")
