"""Calls of the API as values: the request and the parser of its response. Each may be sent again.

GET, PUT, PATCH and DELETE are idempotent (RFC 9110, section 9.2.2), as are pausing and resuming. Every other POST has
an idempotency key, by which the server recognises it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from longrun_client.keys import new_key, quoted
from longrun_client.models import (
    Attempt,
    AttemptPage,
    LogLine,
    LogPage,
    Page,
    Status,
    Task,
    TaskType,
    Worker,
)
from longrun_client.models_output import OutputPage, Piece
from longrun_client.options import SubmitOptions
from longrun_client.wire import SeqPage

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One HTTP exchange. `key` is its idempotency key, if it needs one."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | int] | None = None
    body: Mapping[str, Any] | None = None
    key: str | None = None
    wait_s: float = 0.0
    """For how many seconds the server may wait before it answers."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        return {} if self.key is None else {"Idempotency-Key": quoted(self.key)}


def submit(task_type: str, input: Mapping[str, Any], options: SubmitOptions) -> Call[Task]:
    """POST /tasks; raises ValueError for a time without a time zone."""
    body_options = {name: _plain(name, value) for name, value in options.items() if value is not None}
    key = new_key(options.get("idempotency_key"))
    body_options.pop("idempotency_key", None)
    body = {"task_type": task_type, "input": dict(input), **body_options}
    return Call("POST", "/tasks", Task.model_validate, body=body, key=key)


def get(task_id: str, wait_s: float = 0.0) -> Call[Task]:
    """GET /tasks/{id}, which the server answers when the task has ended, or after `wait_s` seconds."""
    params = {"wait": f"{wait_s:.3f}"} if wait_s else None
    return Call("GET", task_path(task_id), Task.model_validate, params=params, wait_s=wait_s)


def page(
    status: Status | str | None, task_type: str | None, limit: int, cursor: str | None, schedule_id: str | None = None
) -> Call[Page]:
    """GET /tasks: one page, newest first."""
    params = {
        "status": status, "task_type": task_type, "schedule_id": schedule_id, "limit": limit, "cursor": cursor,
    }  # fmt: skip
    return Call("GET", "/tasks", Page.model_validate, params=without_none(params))


class Pages:
    """An iteration over the pages of GET /tasks, up to `limit` tasks (None: all)."""

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
        """Whether another page is needed."""
        return not self._last and (self._left is None or self._left > 0)

    def call(self) -> Call[Page]:
        """The call for the next page."""
        size = PAGE_SIZE if self._left is None else min(PAGE_SIZE, self._left)
        return page(self._status, self._task_type, size, self._cursor, self._schedule_id)

    def take(self, page: Page) -> tuple[Task, ...]:
        """Return the tasks of this page and advance to the next."""
        self._cursor, self._last = page.next, page.next is None
        self._left = None if self._left is None else self._left - len(page.items)
        return page.items


def log_page(task_id: str, after: int) -> Call[SeqPage[LogLine]]:
    """GET /tasks/{id}/logs: the lines after the cursor."""
    return Call("GET", f"{task_path(task_id)}/logs", LogPage.model_validate, params={"after": after})


def output_page(task_id: str, after: int) -> Call[SeqPage[Piece]]:
    """GET /tasks/{id}/output: the pieces after the cursor."""
    return Call("GET", f"{task_path(task_id)}/output", OutputPage.model_validate, params={"after": after})


def attempt_page(task_id: str, after: int) -> Call[SeqPage[Attempt]]:
    """GET /tasks/{id}/attempts: the attempts after the cursor."""
    return Call("GET", f"{task_path(task_id)}/attempts", AttemptPage.model_validate, params={"after": after})


def retry(task_id: str, idempotency_key: str | None = None) -> Call[Task]:
    """POST /tasks/{id}/retry."""
    return Call("POST", f"{task_path(task_id)}/retry", Task.model_validate, key=new_key(idempotency_key))


def cancel(task_id: str) -> Call[Task]:
    """DELETE /tasks/{id}; a second call returns the same receipt."""
    return Call("DELETE", task_path(task_id), Task.model_validate)


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


def items(model: type[Answer]) -> Callable[[Any], tuple[Answer, ...]]:
    """Reads the items of an answer that is not paged."""
    return lambda body: tuple(model.model_validate(item) for item in body["items"])


def without_none(params: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """The parameters of a query, without those that are None."""
    return {name: value for name, value in params.items() if value is not None}


def _plain(name: str, value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value} has no time zone; use datetime.now(UTC) or .astimezone()")
    return value.isoformat()
