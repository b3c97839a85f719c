"""Every call of the API as a value: the request, the parser of its response, and whether it may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from longrun_client.models import (
    Attempt,
    AttemptPage,
    LogLine,
    LogPage,
    Task,
    TaskType,
    Worker,
)
from longrun_client.models_output import OutputPage, Piece
from longrun_client.models_queues import ConcurrencyLimit, ConcurrencyLimitPage, Queue, QueuePage
from longrun_client.models_schedules import Schedule, SchedulePage
from longrun_client.options import ScheduleOptions, SubmitOptions
from longrun_client.wire import KeysetPage, SeqPage

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One HTTP exchange. `repeatable`: it is idempotent (RFC 9110, section 9.2.2)."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | int | Sequence[str]] | None = None
    body: Mapping[str, Any] | None = None
    repeatable: bool = True
    doubt: str = "the task may have been accepted, so check `longrun list` before you submit it again"
    """Part of the error message if the connection breaks before the response to a call that is not repeatable."""


def submit(task_type: str, input: Mapping[str, Any], options: SubmitOptions) -> Call[Task]:
    """POST /tasks; raises ValueError for a time without a time zone."""
    given = {name: _plain(name, value) for name, value in options.items() if value is not None}
    body = {"task_type": task_type, "input": dict(input), **given}
    return Call("POST", "/tasks", Task.model_validate, body=body, repeatable=False)


def get(task_id: str) -> Call[Task]:
    """GET /tasks/{id}."""
    return Call("GET", task_path(task_id), Task.model_validate)


def log_page(task_id: str, after: int) -> Call[SeqPage[LogLine]]:
    """GET /tasks/{id}/logs: the lines after the cursor."""
    return Call("GET", f"{task_path(task_id)}/logs", LogPage.model_validate, params={"after": after})


def output_page(task_id: str, after: int) -> Call[SeqPage[Piece]]:
    """GET /tasks/{id}/output: the pieces after the cursor."""
    return Call("GET", f"{task_path(task_id)}/output", OutputPage.model_validate, params={"after": after})


def attempt_page(task_id: str, after: int) -> Call[SeqPage[Attempt]]:
    """GET /tasks/{id}/attempts: the attempts after the cursor."""
    return Call("GET", f"{task_path(task_id)}/attempts", AttemptPage.model_validate, params={"after": after})


def retry(task_id: str) -> Call[Task]:
    """POST /tasks/{id}/retry. It is not repeated: the task could have failed again, and would be retried twice."""
    return Call("POST", f"{task_path(task_id)}/retry", Task.model_validate, repeatable=False)


def cancel(task_id: str) -> Call[Task]:
    """DELETE /tasks/{id}; a second call returns the same receipt."""
    return Call("DELETE", task_path(task_id), Task.model_validate)


def create_schedule(name: str, cron: str, task: Mapping[str, Any], options: ScheduleOptions) -> Call[Schedule]:
    """POST /schedules."""
    return Call(
        "POST",
        "/schedules",
        Schedule.model_validate,
        body={"name": name, "cron": cron, "task": dict(task), **options},
        repeatable=False,
        doubt="the schedule may have been created, so check `longrun schedules list`",
    )


def schedule(key: str) -> Call[Schedule]:
    """GET /schedules/{id or name}."""
    return Call("GET", _schedule_path(key), Schedule.model_validate)


def schedule_page(cursor: str | None) -> Call[KeysetPage[Schedule]]:
    """GET /schedules: one page, newest first."""
    return Call("GET", "/schedules", SchedulePage.model_validate, params=_given({"limit": PAGE_SIZE, "cursor": cursor}))


def change_schedule(key: str, changes: Mapping[str, Any]) -> Call[Schedule]:
    """PATCH /schedules/{id or name}, which is idempotent."""
    return Call("PATCH", _schedule_path(key), Schedule.model_validate, body=dict(changes))


def pause_schedule(key: str) -> Call[Schedule]:
    """POST /schedules/{id or name}/pause."""
    return Call("POST", f"{_schedule_path(key)}/pause", Schedule.model_validate)


def resume_schedule(key: str) -> Call[Schedule]:
    """POST /schedules/{id or name}/resume."""
    return Call("POST", f"{_schedule_path(key)}/resume", Schedule.model_validate)


def run_schedule(key: str) -> Call[Task]:
    """POST /schedules/{id or name}/run."""
    return Call("POST", f"{_schedule_path(key)}/run", Task.model_validate, repeatable=False)


def delete_schedule(key: str) -> Call[Schedule]:
    """DELETE /schedules/{id or name}."""
    return Call("DELETE", _schedule_path(key), Schedule.model_validate)


def queue_page(after: str | None) -> Call[KeysetPage[Queue]]:
    """GET /queues: one page, by name."""
    return Call("GET", "/queues", QueuePage.model_validate, params=_given({"limit": PAGE_SIZE, "after": after}))


def queue(name: str) -> Call[Queue]:
    """GET /queues/{name}."""
    return Call("GET", _queue_path(name), Queue.model_validate)


def change_queue(name: str, changes: Mapping[str, Any]) -> Call[Queue]:
    """PATCH /queues/{name}, which is idempotent."""
    return Call("PATCH", _queue_path(name), Queue.model_validate, body=dict(changes))


def concurrency_limit_page(after: str | None) -> Call[KeysetPage[ConcurrencyLimit]]:
    """GET /concurrency-limits: one page, by key."""
    params = _given({"limit": PAGE_SIZE, "after": after})
    return Call("GET", "/concurrency-limits", ConcurrencyLimitPage.model_validate, params=params)


def set_concurrency_limit(key: str, max_running: int) -> Call[ConcurrencyLimit]:
    """PUT /concurrency-limits/{key}."""
    return Call("PUT", _limit_path(key), ConcurrencyLimit.model_validate, body={"max_running": max_running})


def clear_concurrency_limit(key: str) -> Call[None]:
    """DELETE /concurrency-limits/{key}."""
    return Call("DELETE", _limit_path(key), lambda _: None)


def task_types() -> Call[tuple[TaskType, ...]]:
    """GET /task-types."""
    return Call("GET", "/task-types", items(TaskType))


def workers() -> Call[tuple[Worker, ...]]:
    """GET /workers."""
    return Call("GET", "/workers", items(Worker))


def stream_path(task_id: str) -> str:
    """The path of a task's event stream."""
    return f"{task_path(task_id)}/stream"


def task_path(task_id: str) -> str:
    """The path of a task."""
    return f"/tasks/{quote(task_id, safe='')}"


def _schedule_path(key: str) -> str:
    return f"/schedules/{quote(key, safe='')}"


def _queue_path(name: str) -> str:
    return f"/queues/{quote(name, safe='')}"


def _limit_path(key: str) -> str:
    return f"/concurrency-limits/{quote(key, safe='')}"


def items(model: type[Answer]) -> Callable[[Any], tuple[Answer, ...]]:
    """Reads the items of an answer that is not paged."""
    return lambda body: tuple(model.model_validate(item) for item in body["items"])


def _given(params: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}


def _plain(name: str, value: object) -> object:
    return time_text(name, value) if isinstance(value, datetime) else value


def time_text(name: str, value: datetime) -> str:
    """A time as the API takes it; raises ValueError, which names the option, if it has no time zone."""
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value} has no time zone; use datetime.now(UTC) or .astimezone()")
    return value.isoformat()
