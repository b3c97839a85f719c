"""The document of one task as a response: with its ETag, and with `Retry-After` until the task has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from jobcore.models import Job
from jobcore.store import jobs
from longrun_api import conditions
from longrun_api.runtime import runtime_of
from longrun_api.schemas import task_json
from longrun_api.task_ids import not_found


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task as JSON; its ETag is strong, because it is a hash of these bytes (RFC 9110, section 8.8.1)."""

    text: bytes
    etag: str
    job: Job

    def headers(self, request: Request) -> dict[str, str]:
        """The headers of a response with this document."""
        headers = conditions.shown_with(self.etag)
        retry_after_s = runtime_of(request).pace.of(self.job)
        return headers if retry_after_s is None else headers | {"Retry-After": str(retry_after_s)}

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The response to a GET: the task, or 304 if the client has this document."""
        return conditions.document(request, self.text, self.etag, {**self.headers(request), **headers})


def read(connection: Any, task_id: UUID, root_path: str) -> TaskDocument:
    """The document of a task, made in the calling thread: a large one must not block the event loop."""
    job = jobs.get(connection, task_id)
    if job is None:
        raise not_found(task_id)
    text = task_json(job, root_path)
    return TaskDocument(text, f'"{conditions.digest(text)}"', job)
