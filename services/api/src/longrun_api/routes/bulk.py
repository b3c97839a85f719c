"""`POST /tasks:cancel` and `POST /tasks:retry`: cancel or retry many tasks, by ids or by the filter of the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from jobcore.models import BulkAction, IdempotencyKey, JobFilter
from jobcore.models.caller import Scope
from longrun_api import answers, bulk
from longrun_api.auth.scopes import needs
from longrun_api.body import read_as
from longrun_api.callers import caller_of
from longrun_api.idempotency import TAKES_KEY, key_of_body, key_text
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.schemas import Accepted
from longrun_api.schemas_bulk import BulkRequest, BulkResult, TaskFilter
from longrun_api.submission import parse_as

router = APIRouter(prefix="/tasks", tags=["tasks"])

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": Accepted, "description": "There are many tasks: this task of Longrun's own changes them"},
    **problem_responses(400, 409, 413, 415, 422, 429, 503),
}
EXTRA: Final = {**TAKES_KEY, **request_body(BulkRequest)}


@router.post(":cancel", response_model=BulkResult, responses=RESPONSES, openapi_extra=EXTRA)
@needs(Scope.CANCEL)
async def cancel_tasks(request: Request) -> Response:
    """Cancel many tasks: those of `ids`, or those that match a filter. Their runs may still be stopping afterwards.

    More than 1,000 tasks of a filter are cancelled by a task of Longrun's own, whose id is returned with 202. It never
    cancels a task that was created after this request.
    """
    return await _respond(request, BulkAction.CANCEL)


@router.post(":retry", response_model=BulkResult, responses=RESPONSES, openapi_extra=EXTRA)
@needs(Scope.SUBMIT)
async def retry_tasks(request: Request) -> Response:
    """Retry many FAILED or CANCELLED tasks: those of `ids`, or those that match a filter.

    More than 1,000 tasks of a filter are retried by a task of Longrun's own, whose id is returned with 202. It never
    retries a task that was created after this request.
    """
    return await _respond(request, BulkAction.RETRY)


async def _respond(request: Request, action: BulkAction) -> Response:
    text = key_text(request)

    def read(body: bytes) -> tuple[BulkRequest, IdempotencyKey | None]:
        asked = parse_as(BulkRequest, body)
        return asked, key_of_body(request, text, body, None)

    asked, key = await read_as(request, read)
    work = await _work(request, action, asked)
    answer, changes = await answers.once(request, key, work)
    runtime = runtime_of(request)
    if changes:
        runtime.publisher.publish_changes(changes)
        for queue, count in Counter(change.queue for change in changes if change.ready).items():
            runtime.waker.wake(queue, count)
    return answers.response(answer, replayed=changes is None)


async def _work(request: Request, action: BulkAction, asked: BulkRequest) -> Callable[[Any], bulk.Work]:
    database, caller = runtime_of(request).database, caller_of(request)
    if asked.ids is not None:
        on_ids = bulk.dry_run_of_ids if asked.dry_run else bulk.on_ids
        return partial(on_ids, action, list(dict.fromkeys(asked.ids)), JobFilter(owner=caller.owner))
    wanted = (asked.filter or TaskFilter()).filter(caller)
    if asked.dry_run:
        return await bulk.dry_run_of_filter(database, action, wanted)
    return await bulk.on_filter(database, action, wanted, caller.owner, request.scope.get("root_path", ""))
