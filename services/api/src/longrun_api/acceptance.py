"""The response to a submission, by `POST /tasks` or `POST /schedules/{schedule}/run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from pydantic_core import to_json

from jobcore.errors import InvalidInput, LongrunError
from jobcore.models import IdempotencyKey, KnownJob, NewJob, NewJobWithFiles
from jobcore.states import Status
from jobcore.store import idempotency, json_text
from longrun_api import file_acceptance
from longrun_api.body import read_as
from longrun_api.idempotency import REPLAYED, key_of_body
from longrun_api.runtime import runtime_of
from longrun_api.schemas import links
from longrun_api.times import rfc3339


async def accept(request: Request, job: NewJob, key: IdempotencyKey | None = None) -> Response:
    """Store the job, then return 202 with its id; or 200 with the live job of its dedupe key."""
    runtime = runtime_of(request)
    warnings = runtime.served_queues.warnings(job.queue, job.task_type)
    if key and warnings:
        key = replace(key, warnings=json_text.dumps(warnings))
    if isinstance(job, NewJobWithFiles):
        answer = await file_acceptance.store(request, job, key)
    else:
        answer = await runtime.intake.submit(job, key, runtime.settings.database_timeout_s)
    if isinstance(answer, KnownJob):
        return _known(request, answer)
    retry_after_s = runtime.pace.of_new(job)
    return _shown(
        request, answer.id, job.task_type, Status.PENDING, answer.created_at, warnings, retry_after_s=retry_after_s
    )


async def accept_once(request: Request, text: str, to_job: Callable[[bytes], NewJob]) -> Response:
    """`accept` the job of the body, once for this idempotency key.

    What was accepted before is answered in the same way although it would be refused now, for example because its
    `expires_at` has passed.
    """

    def read(body: bytes) -> tuple[NewJob | InvalidInput, IdempotencyKey | None]:
        try:
            job = to_job(body)
        except InvalidInput as refusal:
            return refusal, key_of_body(request, text, body, refusal)
        return job, key_of_body(request, text, body, None)

    job, key = await read_as(request, read)
    if isinstance(job, InvalidInput):
        return await repeated(request, key, job)
    return await accept(request, job, key)


async def repeated(request: Request, key: IdempotencyKey | None, refusal: LongrunError) -> Response:
    """The stored answer of a submission that would be refused now; raises `refusal` if its key has none."""
    stored = None if key is None else await runtime_of(request).database.call(idempotency.find, key)
    if stored is None or stored.job is None:
        raise refusal
    return _known(request, stored.job)


def _known(request: Request, job: KnownJob) -> Response:
    warnings = json_text.loads(job.warnings) or []
    shown = _shown(request, job.id, job.task_type, job.status, job.created_at, warnings, deduplicated=job.deduplicated)
    if job.replayed:
        shown.headers.update(REPLAYED)
    return shown


def _shown(
    request: Request,
    job_id: UUID,
    task_type: str,
    status: Status,
    created_at: datetime,
    warnings: Sequence[Mapping[str, str]],
    *,
    deduplicated: bool = False,
    retry_after_s: int = 1,
) -> Response:
    here = links(job_id, request.scope.get("root_path", ""))
    shown = document(job_id, task_type, status, rfc3339(created_at), here, warnings, deduplicated=deduplicated)
    headers = {"Location": here["self"], "Retry-After": str(retry_after_s)}
    code = HTTPStatus.OK if deduplicated else HTTPStatus.ACCEPTED
    return Response(to_json(shown), code, headers, "application/json")


def document(
    job_id: UUID | str,
    task_type: str,
    status: Status,
    created_at: str,
    here: Mapping[str, str],
    warnings: Sequence[Mapping[str, str]],
    *,
    deduplicated: bool = False,
) -> dict[str, Any]:
    """An `Accepted`, made by hand: thousands are needed a second."""
    shown: dict[str, Any] = {
        "task_id": str(job_id),
        "task_type": task_type,
        "status": status,
        "created_at": created_at,
        "links": here,
    }
    if deduplicated:
        shown["deduplicated"] = True
    if warnings:
        shown["warnings"] = warnings
    return shown
