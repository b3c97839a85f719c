"""Every call of the API as a value: what to send, how to read the answer, and whether it may be sent twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from longrun_client.models import AttemptPage, Job, LogPage, Page, Status, TaskType, Worker

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


def page(status: Status | str | None, task_type: str | None, limit: int, cursor: str | None) -> Call[Page]:
    """GET /tasks: one page of the history, newest first."""
    params = {"status": status, "task_type": task_type, "limit": limit, "cursor": cursor}
    return Call("GET", "/tasks", Page.model_validate, params=_given(params))


class Pages:
    """A walk over the history by its keyset cursor, up to `limit` jobs (None: all of them)."""

    def __init__(self, status: Status | str | None, task_type: str | None, limit: int | None) -> None:
        self._status = status
        self._task_type = task_type
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
        return page(self._status, self._task_type, size, self._cursor)

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
