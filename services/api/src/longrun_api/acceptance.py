"""The 202 response to a submission, by `POST /tasks` or `POST /schedules/{schedule}/run`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

from jobcore.models import NewJob
from jobcore.states import Status
from jobcore.store import json_text
from longrun_api.database import unavailable_after
from longrun_api.runtime import runtime_of
from longrun_api.schemas import links
from longrun_api.times import rfc3339

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds after which a client should poll a task that has not ended."""


async def accept(request: Request, job: NewJob) -> Response:
    """Store the job, then return 202 with its id."""
    runtime = runtime_of(request)
    async with unavailable_after(runtime.settings.database_timeout_s):
        accepted = await runtime.intake.submit(job)
    here = links(accepted.id, request.scope.get("root_path", ""))
    # serialised by hand: this route must handle thousands of requests a second
    document: dict[str, Any] = {
        "task_id": str(accepted.id),
        "task_type": job.task_type,
        "status": Status.PENDING,
        "created_at": rfc3339(accepted.created_at),
        "links": here,
    }
    if warnings := runtime.served_queues.warnings(job.queue, job.task_type):
        document["warnings"] = warnings
    headers = {"Location": here["self"], **RETRY_AFTER}
    return Response(json_text.dumps(document), HTTPStatus.ACCEPTED, headers, "application/json")
