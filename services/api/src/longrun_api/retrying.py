"""A manual retry of a task, or why it cannot be retried."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from jobcore.errors import NotRetryable
from jobcore.models import Change, Job
from jobcore.states import Status
from jobcore.store import jobs
from jobcore.store.idempotency import StoredAnswer
from longrun_api.schemas import links, task_json
from longrun_api.task_ids import not_found


def retried(connection: Any, task_id: UUID, root_path: str) -> tuple[StoredAnswer, Change]:
    """Retry the task; raises JobNotFound, NotRetryable or DedupeKeyTaken."""
    change = jobs.retry(connection, task_id)
    job = jobs.get(connection, task_id)
    if job is None:
        raise not_found(task_id)
    if change is None:
        raise _not_retryable(job)
    return StoredAnswer(
        HTTPStatus.ACCEPTED, links(job.id, root_path)["self"], task_json(job, root_path).decode()
    ), change


def _not_retryable(job: Job) -> NotRetryable:
    if job.cancel is not None and job.cancel.stopped_at is None:
        error = NotRetryable("it was cancelled and is still stopping: retry it once cancel.stopped_at is set")
        error.retry_after_s = 1
        return error
    return NotRetryable(
        {
            Status.PENDING: "it is PENDING: it will run by itself",
            Status.RUNNING: "it is RUNNING: cancel it first if this attempt must not continue",
            Status.SUCCESS: "it ended as SUCCESS: submit a new task to run it again",
        }.get(job.status, f"it became {job.status} during the request: try again")
    )
