"""Schedules as the API shows them."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from jobcore.errors import UnknownTaskType
from jobcore.models import owned_keys
from jobcore.schedule import MissedRuns, Overlap, Schedule
from jobcore.tasks import Registry
from longrun_api.times import Utc


class ScheduleLinks(BaseModel):
    """Paths of the schedule, its tasks and its actions."""

    self: str
    tasks: str
    pause: str
    resume: str
    run: str


class ScheduleError(BaseModel):
    """Why the schedule cannot submit tasks."""

    message: str
    at: Utc | None = Field(
        description="Time of the last failed tick; null if the error is known before any tick, such as a task type "
        "that no longer exists."
    )


class ScheduleInfo(BaseModel):
    """A schedule and its state."""

    schedule_id: UUID
    name: str
    owner: str | None = Field(description="Whose schedule it is, and its tasks; null: the operator's.")
    cron: str
    timezone: str
    task: dict[str, Any] = Field(description="The task that each tick submits, as the client sent it.")
    overlap: Overlap
    missed_runs: MissedRuns
    max_missed_runs: int
    start_deadline_s: float | None
    paused: bool
    next_at: Utc | None = Field(description="The next tick; null while the schedule is paused.")
    last_at: Utc | None = Field(description="The latest tick that submitted a task.")
    runs: int = Field(description="Number of ticks that submitted a task.")
    skipped: int = Field(description="Number of ticks that submitted no task because of `overlap`.")
    missed: int = Field(
        description="Number of ticks that submitted no task because they were too late. After an outage, at most 1,000 "
        "ticks are counted."
    )
    error: ScheduleError | None
    created_at: Utc
    updated_at: Utc
    links: ScheduleLinks

    @classmethod
    def of(cls, schedule: Schedule, registry: Registry, root_path: str) -> Self:
        """The schedule as clients see it."""
        plan = schedule.plan
        here = f"{root_path}/schedules/{schedule.id}"
        return cls(
            schedule_id=schedule.id,
            name=owned_keys.name(plan.name),
            owner=plan.owner,
            cron=plan.cron,
            timezone=plan.timezone,
            task=dict(plan.task),
            overlap=Overlap(plan.overlap),
            missed_runs=MissedRuns(plan.missed_runs),
            max_missed_runs=plan.max_missed_runs,
            start_deadline_s=plan.start_deadline_s,
            paused=plan.paused,
            next_at=schedule.next_at,
            last_at=schedule.last_at,
            runs=schedule.runs,
            skipped=schedule.skipped,
            missed=schedule.missed,
            error=_error(schedule, registry),
            created_at=schedule.created_at,
            updated_at=schedule.updated_at,
            links=ScheduleLinks(
                self=here,
                tasks=f"{root_path}/tasks?schedule_id={schedule.id}",
                pause=f"{here}/pause",
                resume=f"{here}/resume",
                run=f"{here}/run",
            ),
        )


def _error(schedule: Schedule, registry: Registry) -> ScheduleError | None:
    if schedule.error is not None:
        return ScheduleError(message=schedule.error, at=schedule.error_at)
    try:
        registry.get(schedule.plan.job["task_type"])
    except UnknownTaskType as error:
        return ScheduleError(message=str(error), at=None)
    return None


class SchedulePage(BaseModel):
    """A page of schedules, newest first."""

    items: list[ScheduleInfo]
    next: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")
