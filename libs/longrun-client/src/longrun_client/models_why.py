"""Responses about what keeps a task from running."""

from __future__ import annotations

from pydantic import AwareDatetime

from longrun_client.wire import Wire


class AcceptanceWarning(Wire):
    """Why an accepted task will not start by itself. `cause` is `queue_not_served` or `task_type_unknown`."""

    cause: str
    detail: str


class EstimatedStart(Wire):
    """When a task may start. `method` is how that was estimated, `run_at`, `throughput` or `run_times`."""

    at: AwareDatetime
    method: str
    detail: str = ""


class Why(Wire):
    """The one cause why a task does not run now.

    `cause` is `ended`, `stopping`, `running`, `expired`, `retry`, `run_at`, `queue_not_served`, `task_type_unknown`,
    `queue_paused`, `concurrency_limit`, `rate_limit`, `queue_limit`, `queue_rate_limit`, `suspected` or `turn`.
    """

    task_id: str
    status: str
    cause: str
    since: AwareDatetime | None = None
    """When the cause began; None: unknown."""
    detail: str
    freed_by: str | None = None
    """What would let the task run."""
    blocking: tuple[str, ...] = ()
    """Some of the tasks that have the permits of the limit that blocks this one."""
    position: int | None = None
    """Its place in line, from 1; 10001 stands for more than 10,000."""
    estimated_start: EstimatedStart | None = None
