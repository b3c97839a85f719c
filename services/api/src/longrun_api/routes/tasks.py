"""`/tasks`: submit, cancel and retry tasks, and read their logs and attempts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import JobAlreadyEnded
from jobcore.models import Job, NewJob, NewJobWithFiles
from jobcore.models.caller import Scope
from jobcore.store import events, jobs, runs
from jobcore.telemetry import traces
from longrun_api import answers, file_acceptance, paging, validation, waited
from longrun_api.acceptance import accept, accept_once
from longrun_api.auth.scopes import needs
from longrun_api.body import read_as
from longrun_api.callers import caller_of, owner_of
from longrun_api.idempotency import TAKES_KEY, key_of, key_text
from longrun_api.openapi import problem_responses
from longrun_api.problems import problem
from longrun_api.retrying import retried
from longrun_api.runtime import runtime_of
from longrun_api.schemas import Accepted, LogLine, LogPage, Task, TaskSummary, task_json
from longrun_api.schemas_attempts import Attempt, AttemptPage
from longrun_api.submission import parse, to_job
from longrun_api.task_forms import accept_form, is_form
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])

RETRY_AFTER: Final = {"Retry-After": "1"}
"""A cancelled run usually stops within seconds, and a retried task usually starts."""


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Accepted,
    responses={
        200: {
            # not `Accepted | Task`: generators make an awkward type of a union, and a Task has these fields too
            "model": Accepted,
            "description": "A live task has the same `dedupe_key`; or the task ended while the client waited, "
            "as `Prefer` asked, or it was only validated: then this is a whole `Task`",
        },
        **problem_responses(400, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra={"parameters": [*TAKES_KEY["parameters"], waited.PARAMETER, validation.PARAMETER]},
)
@needs(Scope.SUBMIT)
async def submit_task(request: Request) -> Response:
    """Submit a task. The response is sent once the task is stored durably; from then on it is never lost.

    `multipart/form-data` is taken too: the part `task` with the submission as JSON comes first, and each further part
    is an input file of its name.
    """
    if validation.is_wanted(request):
        return await _submitted(request, is_validation=True)
    use = await runtime_of(request).submission_quota.take(caller_of(request).owner)
    response = await _submitted(request, is_validation=False)
    if use is not None:
        response.headers.update(use.headers)
    return response


async def _submitted(request: Request, *, is_validation: bool) -> Response:
    runtime, traceparent, caller = runtime_of(request), traces.current_traceparent(), caller_of(request)

    if is_form(request):
        return await waited.submitted(request, await accept_form(request, traceparent))

    def read(body: bytes) -> NewJob:
        return to_job(parse(body), runtime.registry, traceparent, caller, runtime.secret_keys)

    key = key_text(request)
    if is_validation:
        job = await read_as(request, read)
        if isinstance(job, NewJobWithFiles):
            await file_acceptance.check(request, job)
        warnings = runtime.served_queues.warnings(job.queue, job.task_type)
        shown = validation.validated_json(job, request.scope.get("root_path", ""), warnings)
        return Response(shown, media_type="application/json")
    accepted = accept(request, await read_as(request, read)) if key is None else accept_once(request, key, read)
    return await waited.submitted(request, await accepted)


class LogQuery(BaseModel):
    """Which log lines to return."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(
        0, ge=0, lt=2**63, description="Only lines with a larger `seq`: pass `next_after` of the previous page."
    )
    limit: int = Field(200, ge=1, le=1000, description="Maximum number of lines in the page.")


@router.get("/{task_id}/logs", response_model=LogPage, responses=problem_responses(404, 422, 503))
@needs(Scope.READ)
async def get_task_logs(request: Request, task_id: TaskId, query: Annotated[LogQuery, Query()]) -> Response:
    """Get the log of a task in order. If there are no further lines, `next_after` equals `after`."""
    database = runtime_of(request).database

    def rows(connection: Any, after: int, limit: int) -> list[tuple[int, bytes]]:
        found = [LogLine.of(event) for event in events.logs(connection, task_id, after, limit)]
        return [(line.seq, line.model_dump_json().encode()) for line in found]

    page = await paging.read(lambda last, limit: database.call(rows, last or query.after, limit), query.limit)
    if not page.items:
        await find(request, task_id)
    return page.response(next_after=page.last or query.after)


class AttemptQuery(BaseModel):
    """Which attempts to return."""

    model_config = ConfigDict(extra="forbid")

    after: int = Field(0, ge=0, lt=2**63, description="Only later attempts: pass `next_after` of the previous page.")
    limit: int = Field(50, ge=1, le=200, description="Maximum number of attempts in the page.")


@router.get("/{task_id}/attempts", response_model=AttemptPage, responses=problem_responses(404, 422, 503))
@needs(Scope.READ)
async def get_task_attempts(request: Request, task_id: TaskId, query: Annotated[AttemptQuery, Query()]) -> Response:
    """Get the attempts of a task, oldest first: when and where each ran, and its outcome."""
    database, is_operator = runtime_of(request).database, owner_of(request) is None

    def rows(connection: Any, after: int, limit: int) -> list[tuple[int, bytes]]:
        found = runs.page(connection, task_id, after, limit)
        return [(run.seq, Attempt.of(run, with_host=is_operator).model_dump_json().encode()) for run in found]

    page = await paging.read(lambda last, limit: database.call(rows, last or query.after, limit), query.limit)
    if not page.items:
        await find(request, task_id)
    return page.response(next_after=page.last or query.after)


@router.post(
    "/{task_id}/retry",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Task,
    responses=problem_responses(400, 404, 409, 422, 429, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.SUBMIT)
async def retry_task(request: Request, task_id: TaskId) -> Response:
    """Retry a FAILED or CANCELLED task. It keeps its events, checkpoint and steps; its tries start again from zero."""
    runtime, root_path = runtime_of(request), request.scope.get("root_path", "")
    key = key_of(request)
    answer, change = await answers.once(request, key, lambda connection: retried(connection, task_id, root_path))
    if change:
        runtime.publisher.publish_changes([change])
        if change.ready:  # otherwise a limit blocks it, and the keeper unblocks it later
            runtime.waker.wake(change.queue, 1)
    return answers.response(answer, replayed=change is None, **RETRY_AFTER)


@router.delete(
    "/{task_id}",
    response_model=Task,
    responses={
        202: {"model": Task, "description": "The task is CANCELLED and its run is still stopping"},
        **problem_responses(404, 409, 503),
    },
    openapi_extra={"parameters": [waited.CANCEL_PARAMETER]},
)
@needs(Scope.CANCEL)
async def cancel_task(request: Request, task_id: TaskId) -> Response:
    """Cancel a task. 200: its run has stopped; 202: its run is still stopping. A repeated request is harmless."""
    runtime = runtime_of(request)
    change = await runtime.database.call(jobs.cancel, task_id)
    if change:
        runtime.publisher.publish_changes([change])
    job = await find(request, task_id)
    root_path = request.scope.get("root_path", "")
    if job.cancel is None:
        summary = TaskSummary.of(job, root_path)
        ended = summary.model_dump(mode="json", include={"task_id", "status", "finished_at"})
        return problem(JobAlreadyEnded(f"it ended as {job.status} before it could be cancelled"), task=ended)
    if job.cancel.stopped_at:
        return Response(task_json(job, root_path), media_type="application/json")
    stopping = Response(task_json(job, root_path), HTTPStatus.ACCEPTED, RETRY_AFTER, "application/json")
    return await waited.cancelled(request, task_id, stopping)


async def find(request: Request, task_id: UUID) -> Job:
    """The job; raises JobNotFound."""
    job = await runtime_of(request).database.call(jobs.get, task_id)
    if job is None:
        raise not_found(task_id)
    return job
