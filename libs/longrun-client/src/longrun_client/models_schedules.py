"""Schedules as they travel on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime

from longrun_client.models import KeysetPage, Wire


class ScheduleError(Wire):
    """Why a schedule cannot make tasks."""

    message: str
    at: AwareDatetime | None = None


class Schedule(Wire):
    """A task that runs again and again: `runs` ticks made a task, `skipped` and `missed` ones did not."""

    schedule_id: str
    name: str
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
    """Some schedules, newest first."""
