"""Calls of the API as values: the request and the parser of its response. Each may be sent again.

GET, PUT, PATCH and DELETE are idempotent (RFC 9110, section 9.2.2). A POST has an idempotency key, by which the server
recognises it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from longrun_client.keys import new_key, quoted
from longrun_client.models import (
    Attempt,
    AttemptPage,
    LogLine,
    LogPage,
    Task,
    TaskType,
    Worker,
)
from longrun_client.models_files import UploadedFile
from longrun_client.models_output import OutputPage, Piece
from longrun_client.options import SubmitOptions, ValidateOptions
from longrun_client.wire import SeqPage

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

PAGE_SIZE = 100
Until = Literal["ended", "stopped"]
"""What to wait for: the end of a task; or that also none of its runs is under way, if it is cancelled."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One HTTP exchange. `key` is its idempotency key, if it needs one."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str | int | Sequence[str]] | None = None
    body: Mapping[str, Any] | None = None
    content: bytes | None = None
    """A body that is JSON already."""
    key: str | None = None
    wait_s: float = 0.0
    """For how many seconds the server may wait before it answers."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        key = {} if self.key is None else {"Idempotency-Key": quoted(self.key)}
        return key if self.content is None else {**key, "Content-Type": "application/json"}


def submit(task_type: str, input: Mapping[str, Any], options: SubmitOptions) -> Call[Task]:
    """POST /tasks; raises ValueError for a time without a time zone."""
    body_options = {name: _plain(name, value) for name, value in options.items() if value is not None}
    key = new_key(options.get("idempotency_key"))
    body_options.pop("idempotency_key", None)
    body_options.pop("files", None)
    if files := options.get("files"):
        body_options["files"] = {name: file.file_id for name, file in files.items() if isinstance(file, UploadedFile)}
    body = {"task_type": task_type, "input": dict(input), **body_options}
    return Call("POST", "/tasks", Task.model_validate, body=body, key=key)


def validate(task_type: str, input: Mapping[str, Any], options: ValidateOptions) -> Call[Task]:
    """POST /tasks?validate_only=true, which stores nothing; raises ValueError for a time without a time zone."""
    given = SubmitOptions(**options, idempotency_key=None, files=None)
    return replace(submit(task_type, input, given), params={"validate_only": "true"}, key=None)


def get(task_id: str, wait_s: float = 0.0, until: Until = "ended") -> Call[Task]:
    """GET /tasks/{id}, which the server answers when the task has ended or stopped, or after `wait_s` seconds."""
    params = {"wait": f"{wait_s:.3f}"} if wait_s else None
    if params and until != "ended":
        params["until"] = until
    return Call("GET", task_path(task_id), Task.model_validate, params=params, wait_s=wait_s)


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
    return time_text(name, value) if isinstance(value, datetime) else value


def time_text(name: str, value: datetime) -> str:
    """A time as the API takes it; raises ValueError, which names the option, if it has no time zone."""
    if value.tzinfo is None:
        raise ValueError(f"{name}: {value} has no time zone; use datetime.now(UTC) or .astimezone()")
    return value.isoformat()
