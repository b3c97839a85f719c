"""Responses about schedules."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime

from longrun_client.wire import KeysetPage, Wire


class ScheduleError(Wire):
    """Why a schedule cannot submit tasks."""

    message: str
    at: AwareDatetime | None = None


class Schedule(Wire):
    """A schedule. `runs` ticks submitted a task; `skipped` and `missed` ticks did not."""

    schedule_id: str
    name: str
    owner: str | None = None
    """Whose schedule it is, and its tasks; None: the operator's."""
    cron: str
    timezone: str
    task: dict[str, Any]
    overlap: str
    missed_runs: str
    max_missed_runs: int | None = None
    start_deadline_s: float | None = None
    paused: bool
    next_at: AwareDatetime | None = None
    last_at: AwareDatetime | None = None
    runs: int = 0
    skipped: int = 0
    missed: int = 0
    error: ScheduleError | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime | None = None


class SchedulePage(KeysetPage[Schedule]):
    """A page of schedules, newest first."""
