"""Responses about what happened to tasks."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from longrun_client.wire import Wire

Last = Literal["hour", "day", "week"]
"""How far back to look: an hour in minutes, a day and a week in hours."""


class Durations(Wire):
    """Durations in seconds, each within a fifth of the true value."""

    p50: float
    p95: float


class Figures(Wire):
    """What happened to tasks within a time."""

    submitted: int
    succeeded: int
    failed: int
    cancelled: int
    retried: int
    """How often a task became PENDING again after a run or an end, but for hand-backs."""
    wait_s: Durations | None = None
    """How long the tasks that started had been due."""
    run_s: Durations | None = None
    """How long the last attempt of those took that ended SUCCESS or FAILED."""


class FiguresAt(Figures):
    """What happened to tasks from `at` until `step_s` later."""

    at: AwareDatetime


class Stats(Wire):
    """What happened to tasks, step by step and in sum."""

    step_s: int
    items: list[FiguresAt]
    """From the oldest to the one that is under way."""
    total: Figures
