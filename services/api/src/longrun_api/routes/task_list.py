"""`GET /tasks` and `GET /tasks:count`: the tasks of a filter in pages, and how many there are."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from jobcore.models import JobFilter, JobOrder, JobPosition
from jobcore.models.caller import Scope
from jobcore.states import Status
from jobcore.store import listing
from longrun_api import list_cursors, task_counts
from longrun_api.auth.scopes import needs
from longrun_api.callers import caller_of
from longrun_api.list_queries import FilterQuery, ListQuery
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.schemas import StatusCount, TaskCounts, TaskPage, TaskSummary
from longrun_api.task_walk import Found, walk

router = APIRouter(prefix="/tasks", tags=["tasks"])

LINK: Final = {
    "description": "Paths of the next page, if there is one, and of the first (RFC 8288).",
    "schema": {"type": "string", "examples": ['</tasks?status=FAILED>; rel="first"']},
}


@router.get(
    "",
    response_model=TaskPage,
    responses={
        200: {"description": "A page of tasks", "headers": {"Link": LINK}},
        **problem_responses(422, 503),
    },
)
@needs(Scope.READ)
async def list_tasks(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the tasks that match every parameter, newest first.

    A request looks at no more than 10,000 tasks, and a page holds at most 4 MiB. So it may have fewer than `limit`
    items, or none, although `next` is not null: continue with `next`.
    """
    wanted, order = query.filter(caller_of(request)), query.order
    start = None if query.cursor is None else list_cursors.decode(query.cursor, wanted, order)
    step = partial(_step, wanted, order, query.members, request.scope.get("root_path", ""))
    page = await walk(partial(runtime_of(request).database.call, step), start, query.limit)
    more = list_cursors.encode(page.last, wanted, order) if page.last and page.has_more else None
    return page.response(headers={"Link": _link(request, more)}, next=more)


@router.get(":count", responses=problem_responses(422, 503))
@needs(Scope.READ)
async def count_tasks(request: Request, query: Annotated[FilterQuery, Query()]) -> TaskCounts:
    """Count the tasks that match every parameter, by status.

    With no parameters but `status`, `task_type` and `schedule_id`, each status is counted up to 10,000. Otherwise, a
    request looks at the newest 10,000 tasks that may match.
    """
    wanted = query.filter(caller_of(request))
    found = await task_counts.count(runtime_of(request).database, wanted)
    nothing = StatusCount(count=0, exact=True)
    return TaskCounts(counts={status: found.get(status, nothing) for status in query.status or list(Status)})


def _step(
    wanted: JobFilter,
    order: JobOrder,
    members: set[str] | None,
    root_path: str,
    connection: Any,
    after: JobPosition | None,
    limit: int,
    candidates: int,
) -> Found:
    # serialised in the thread of the database: a page of large tasks must not block the event loop
    step = listing.page(connection, wanted, order, after, limit=limit, candidates=candidates)
    rows = [
        (listing.position(job, order), TaskSummary.of(job, root_path).model_dump_json(include=members).encode())
        for job in step.jobs
    ]
    return Found(rows, step.examined, step.reached, step.ended)


def _link(request: Request, cursor: str | None) -> str:
    """The value of `Link`: the same list from its start, and from the cursor."""
    path = f"{request.scope.get('root_path', '')}/tasks"
    given = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    links = [(given, "first")] if cursor is None else [([*given, ("cursor", cursor)], "next"), (given, "first")]
    return ", ".join(
        f'<{path}?{urlencode(parameters)}>; rel="{relation}"' if parameters else f'<{path}>; rel="{relation}"'
        for parameters, relation in links
    )
