"""Every call of the API as a value: what to send, how to read the answer, and whether it may be sent twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from longrun_client.models import AttemptPage, Job, LogPage, Page, Schedule, SchedulePage, Status, TaskType, Worker

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One HTTP exchange. `repeatable`: doing it twice has the same effect as doing it once (RFC 9110, 9.2.2)."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | int] | None = None
    body: Mapping[str, Any] | None = None
    repeatable: bool = True
    doubt: str = "the job may have been accepted, look at `longrun list` before you send it again"
    """What to tell people if the connection breaks before the answer to a call that must not be repeated."""


class RetryOptions(TypedDict, total=False):
    """How long to wait before another attempt; what is left out is the task type's own choice."""

    backoff_s: float
    """Seconds before the second attempt; doubled for each further one."""
    backoff_max_s: float
    """The most seconds between two attempts."""
    jitter: float
    """By which share, 0 to 1, a delay varies at random."""


class SubmitOptions(TypedDict, total=False):
    """How a job is to be run; what is left out (or None) is the task type's own choice."""

    queue: str | None
    """The queue to wait in."""
    priority: int | None
    """Higher goes first; each step is worth a minute of waiting."""
    run_at: datetime | None
    """Not before this time, which must have a time zone."""
    delay_s: float | None
    """Not before this many seconds from now."""
    expires_at: datetime | None
    """Fail instead of starting after this time, which must have a time zone."""
    timeout_s: float | None
    """Seconds that one attempt may take."""
    max_attempts: int | None
    """How often to try in all."""
    fairness_key: str | None
    """Jobs of one queue take turns between fairness keys: the id of an owner or tenant, for example."""
    retry: RetryOptions | None
    """How long to wait before another attempt."""
    tags: list[str] | None
    """Words to find it by."""
    metadata: dict[str, Any] | None
    """Anything you want to read back with the job."""


def submit(task_type: str, input: Mapping[str, Any], options: SubmitOptions) -> Call[Job]:
    """POST /tasks; ValueError for a time without a time zone."""
    given = {name: _plain(name, value) for name, value in options.items() if value is not None}
    body = {"task_type": task_type, "input": dict(input), **given}
    return Call("POST", "/tasks", Job.model_validate, body=body, repeatable=False)


def get(task_id: str) -> Call[Job]:
    """GET /tasks/{id}."""
    return Call("GET", _job_path(task_id), Job.model_validate)


def page(
    status: Status | str | None, task_type: str | None, limit: int, cursor: str | None, schedule_id: str | None = None
) -> Call[Page]:
    """GET /tasks: one page of the history, newest first."""
    params = {
        "status": status, "task_type": task_type, "schedule_id": schedule_id, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    return Call("GET", "/tasks", Page.model_validate, params=_given(params))


class Pages:
    """A walk over the history by its keyset cursor, up to `limit` jobs (None: all of them)."""

    def __init__(
        self, status: Status | str | None, task_type: str | None, limit: int | None, schedule_id: str | None = None
    ) -> None:
        self._status = status
        self._task_type = task_type
        self._schedule_id = schedule_id
        self._left = limit
        self._cursor: str | None = None
        self._last = False

    @property
    def more(self) -> bool:
        """Whether there is a page to ask for."""
        return not self._last and (self._left is None or self._left > 0)

    def call(self) -> Call[Page]:
        """The call for the next page."""
        size = PAGE_SIZE if self._left is None else min(PAGE_SIZE, self._left)
        return page(self._status, self._task_type, size, self._cursor, self._schedule_id)

    def take(self, page: Page) -> tuple[Job, ...]:
        """The jobs of the page that came, and step past it."""
        self._cursor, self._last = page.next, page.next is None
        self._left = None if self._left is None else self._left - len(page.items)
        return page.items


def log_page(task_id: str, after: int) -> Call[LogPage]:
    """GET /tasks/{id}/logs: the lines after the cursor."""
    return Call("GET", f"{_job_path(task_id)}/logs", LogPage.model_validate, params={"after": after})


def attempt_page(task_id: str, after: int) -> Call[AttemptPage]:
    """GET /tasks/{id}/attempts: the attempts after the cursor."""
    return Call("GET", f"{_job_path(task_id)}/attempts", AttemptPage.model_validate, params={"after": after})


def retry(task_id: str) -> Call[Job]:
    """POST /tasks/{id}/retry: once more if the job has failed again meanwhile, so it is not repeated."""
    return Call("POST", f"{_job_path(task_id)}/retry", Job.model_validate, repeatable=False)


def cancel(task_id: str) -> Call[Job]:
    """DELETE /tasks/{id}: a second one answers with the same receipt."""
    return Call("DELETE", _job_path(task_id), Job.model_validate)


class ScheduleOptions(TypedDict, total=False):
    """When and how a schedule makes jobs; what is left out has its default."""

    timezone: str
    """The IANA time zone whose clock the cron expression goes by; UTC by default."""
    overlap: str
    """While a job of an earlier tick has not ended: `skip` (the default), `allow_all` or `cancel_other`."""
    missed_runs: str
    """Ticks that passed while Longrun was down: `skip`, `run_once` (the default) or `run_all`."""
    max_missed_runs: int
    """How many missed ticks `run_all` makes up for at most."""
    start_deadline_s: float
    """A tick that is later than so many seconds is missed."""
    paused: bool
    """Whether it rests."""


def create_schedule(name: str, cron: str, task: Mapping[str, Any], options: ScheduleOptions) -> Call[Schedule]:
    """POST /schedules."""
    return Call(
        "POST",
        "/schedules",
        Schedule.model_validate,
        body={"name": name, "cron": cron, "task": dict(task), **options},
        repeatable=False,
        doubt="the schedule may have been made, look at `longrun schedules list`",
    )


def schedule(key: str) -> Call[Schedule]:
    """GET /schedules/{id or name}."""
    return Call("GET", _schedule_path(key), Schedule.model_validate)


def schedule_page(cursor: str | None) -> Call[SchedulePage]:
    """GET /schedules: one page, newest first."""
    return Call("GET", "/schedules", SchedulePage.model_validate, params=_given({"limit": PAGE_SIZE, "cursor": cursor}))


def change_schedule(key: str, changes: Mapping[str, Any]) -> Call[Schedule]:
    """PATCH /schedules/{id or name}: doing it twice is as doing it once."""
    return Call("PATCH", _schedule_path(key), Schedule.model_validate, body=dict(changes))


def pause_schedule(key: str) -> Call[Schedule]:
    """POST /schedules/{id or name}/pause."""
    return Call("POST", f"{_schedule_path(key)}/pause", Schedule.model_validate)


def resume_schedule(key: str) -> Call[Schedule]:
    """POST /schedules/{id or name}/resume."""
    return Call("POST", f"{_schedule_path(key)}/resume", Schedule.model_validate)


def run_schedule(key: str) -> Call[Job]:
    """POST /schedules/{id or name}/run."""
    return Call("POST", f"{_schedule_path(key)}/run", Job.model_validate, repeatable=False)


def delete_schedule(key: str) -> Call[Schedule]:
    """DELETE /schedules/{id or name}."""
    return Call("DELETE", _schedule_path(key), Schedule.model_validate)


def task_types() -> Call[tuple[TaskType, ...]]:
    """GET /task-types."""
    return Call("GET", "/task-types", _items(TaskType))


def workers() -> Call[tuple[Worker, ...]]:
    """GET /workers."""
    return Call("GET", "/workers", _items(Worker))


def stream_path(task_id: str) -> str:
    """The path of a job's event stream."""
    return f"{_job_path(task_id)}/stream"


def _job_path(task_id: str) -> str:
    return f"/tasks/{quote(task_id, safe='')}"


def _schedule_path(key: str) -> str:
    return f"/schedules/{quote(key, safe='')}"


def _items(model: type[Answer]) -> Callable[[Any], tuple[Answer, ...]]:
    return lambda body: tuple(model.model_validate(item) for item in body["items"])


def _given(params: Mapping[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in params.items() if value is not None}


def _plain(name: str, value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value} has no time zone, write datetime.now(UTC) or .astimezone()")
    return value.isoformat()
