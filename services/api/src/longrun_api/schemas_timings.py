"""How long a task waited and ran."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from jobcore.models import Job
from longrun_api.times import Utc


class Timings(BaseModel):
    """How long the task waited and ran, in seconds. `/attempts` has the times of every attempt."""

    due_at: Utc = Field(
        description="When the latest attempt became due or, while the task is PENDING, when the next one did or will: "
        "at its submission, at `run_at`, or when it was returned to its queue."
    )
    first_started_at: Utc | None = Field(description="Start of the first attempt.")
    queued_s: float | None = Field(
        description="From `due_at` to the start of the latest attempt: time for its turn, a limit, a pause, or a free "
        "worker; null while the task is PENDING, and if no attempt started."
    )
    ran_s: float | None = Field(
        description="Duration of the latest attempt; null while the task is PENDING or RUNNING, while a cancelled run "
        "is still stopping, and if no attempt started."
    )
    total_s: float | None = Field(description="From `created_at` to `finished_at`; null until the task has ended.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """The timings of a job."""
        return cls(
            due_at=job.due_at,
            first_started_at=job.first_started_at,
            queued_s=_seconds(job.due_at, job.run_started_at),
            ran_s=_seconds(job.run_started_at, job.run_ended_at),
            total_s=_seconds(job.created_at, job.finished_at),
        )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())
