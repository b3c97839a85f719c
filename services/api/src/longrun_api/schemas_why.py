"""Why a task does not run, as clients see it."""

from __future__ import annotations

from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from jobcore.models import Cause, Method, Why
from jobcore.states import Status
from jobcore.store.situations import BLOCKING_MAX, COUNT_MAX
from longrun_api.times import Utc


class AcceptanceWarning(BaseModel):
    """Why an accepted task will not start by itself: no worker serves its queue, or none there has its task type."""

    cause: Literal[Cause.QUEUE_NOT_SERVED, Cause.TASK_TYPE_UNKNOWN]
    detail: str


class EstimatedStart(BaseModel):
    """When the task is expected to start, and how that was estimated."""

    at: Utc
    method: Method = Field(
        description="`run_at`: its own time. `rate`: when its rate limit allows it. `throughput`: how many tasks "
        "of the queue ended a second since it became ready. `run_times`: how long the latest tasks ran, and how many "
        "can run at once."
    )
    detail: str = Field(description="The numbers of the estimate.")


class TaskWhy(BaseModel):
    """The one cause why a task does not run now: what must change first."""

    task_id: UUID
    status: Status
    cause: Cause
    since: Utc | None = Field(description="When the cause began; null: unknown.")
    detail: str = Field(description="The cause in words.")
    freed_by: str | None = Field(description="What would let the task run; null if it runs or can never run again.")
    blocking: list[UUID] = Field(
        description=f"The oldest {BLOCKING_MAX} tasks that have the permits of the limit that blocks this one."
    )
    position: int | None = Field(
        description="Its place in its queue, or among the tasks that its key blocks, from 1. "
        f"{COUNT_MAX + 1} stands for more than {COUNT_MAX:,}. null: it is in no line."
    )
    estimated_start: EstimatedStart | None = Field(
        description="null: it has started, or nobody knows, because somebody must act first."
    )

    @classmethod
    def of(cls, task_id: UUID, why: Why) -> Self:
        """The cause as clients see it."""
        estimate = why.estimate
        return cls(
            task_id=task_id,
            status=why.status,
            cause=why.cause,
            since=why.since,
            detail=why.detail,
            freed_by=why.freed_by,
            blocking=list(why.blocking),
            position=why.position,
            estimated_start=EstimatedStart(at=estimate.at, method=estimate.method, detail=estimate.detail)
            if estimate
            else None,
        )
