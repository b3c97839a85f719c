"""`/schedules`: create, get, list, change, pause, resume, run and delete schedules."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from jobcore.errors import InvalidInput, ScheduleChanged, ScheduleExists, ScheduleNotFound, UnknownTaskType
from jobcore.models import IdempotencyKey, owned_keys
from jobcore.models.acts import Kind
from jobcore.models.caller import Scope
from jobcore.schedule import Plan, Schedule
from jobcore.store import audit_log, schedules
from jobcore.store.idempotency import StoredAnswer
from jobcore.telemetry import traces
from longrun_api import answers, cursors, paging, versions
from longrun_api.acceptance import accept, repeated
from longrun_api.auth.scopes import needs
from longrun_api.body import read_as
from longrun_api.callers import caller_of, owner_of, owner_to_look_at, owner_to_submit_for
from longrun_api.conditions import PreconditionFailed
from longrun_api.field_types import Owner
from longrun_api.idempotency import TAKES_KEY, key_of, key_of_body, key_text
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.scheduling import NAME, merged, parse_schedule, to_plan
from longrun_api.schemas import Accepted
from longrun_api.schemas_schedules import ScheduleInfo, SchedulePage

router = APIRouter(prefix="/schedules", tags=["schedules"])

FIRST_ROWS: Final = 20
"""Rows of the first slice of a page: few, because each holds a task input, which may be as large as a request body."""
KeyInPath = Annotated[str, Path(description="The schedule's id or name.", json_schema_extra={"pattern": NAME})]


async def find(request: Request, schedule: KeyInPath) -> Schedule:
    """The schedule that the path names; raises ScheduleNotFound, or PreconditionFailed for another version.

    Routes learn a schedule from here alone, so the schedules of other owners do not exist for any of them.
    """
    owner, key = owner_of(request), _key(schedule)
    if isinstance(key, str):
        key = owned_keys.stored(owner, key)
    found = None if key is None else await runtime_of(request).database.call(schedules.get, key)
    if found is None or owner not in (None, found.plan.owner):
        raise ScheduleNotFound(f"no schedule has the id or name {schedule[:100]!r}; GET /schedules lists them")
    versions.check(request, _settings(found))
    return found


Found = Annotated[Schedule, Depends(find)]


def _key(text: str) -> UUID | str | None:
    try:
        return UUID(text)
    except ValueError:
        return text if re.fullmatch(NAME, text) else None


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=ScheduleInfo,
    responses=problem_responses(400, 409, 413, 415, 422, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.OPERATE)
async def create_schedule(request: Request) -> Response:
    """Create a schedule. It submits its task at each tick, starting with the next one."""
    runtime, caller = runtime_of(request), caller_of(request)
    text = key_text(request)

    def read(body: bytes) -> tuple[Plan | InvalidInput, IdempotencyKey | None]:
        asked = parse_schedule(body)
        try:
            owner = owner_to_submit_for(caller, asked.owner)
            plan = to_plan(asked, runtime.registry, owner, runtime.secret_keys)
        except InvalidInput as refusal:
            return refusal, key_of_body(request, text, body, refusal)
        return plan, key_of_body(request, text, body, None)

    def create(plan: Plan, connection: Any) -> tuple[StoredAnswer, ScheduleInfo]:
        made = schedules.insert(connection, uuid7(), plan, plan.next_at(schedules.now(connection)))
        if made is None:
            raise _taken(plan)
        shown = _shown(request, made)
        return StoredAnswer(HTTPStatus.CREATED, shown.links.self, shown.model_dump_json()), shown

    plan, key = await read_as(request, read)
    if isinstance(plan, InvalidInput):
        return await answers.repeated(request, key, plan)
    answer, made = await answers.once(request, key, partial(create, plan))
    return answers.response(answer, replayed=made is None)


class ScheduleQuery(BaseModel):
    """Which page of the schedules to return."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="Maximum number of items in the page.")
    cursor: str | None = Field(None, description="`next` of the previous page.")
    owner: Owner | None = Field(
        None, description="Only schedules of this owner. A caller with an owner sees no others in any case."
    )


@router.get("", response_model=SchedulePage, responses=problem_responses(422, 503))
@needs(Scope.READ)
async def list_schedules(request: Request, query: Annotated[ScheduleQuery, Query()]) -> Response:
    """List the schedules, newest first. A page holds at most 4 MiB, so it may have fewer than `limit` items."""
    database, of = runtime_of(request).database, owner_to_look_at(caller_of(request), query.owner)
    start = None if query.cursor is None else cursors.decode(query.cursor)

    def rows(connection: Any, before: UUID | None, limit: int) -> list[tuple[UUID, bytes]]:
        found = schedules.page(connection, limit=limit, before=before, owner=of)
        return [(each.id, _shown(request, each).model_dump_json().encode()) for each in found]

    page = await paging.read(lambda last, limit: database.call(rows, last or start, limit), query.limit, FIRST_ROWS)
    return page.response(next=cursors.encode(page.last) if page.last and page.has_more else None)


@router.get(
    "/{schedule}", response_model=ScheduleInfo, responses={304: versions.KNOWN, **problem_responses(404, 412, 503)}
)
@needs(Scope.READ)
async def get_schedule(request: Request, schedule: Found) -> Response:
    """Get a schedule by its id or name."""
    return _response(request, schedule)


@router.patch(
    "/{schedule}", response_model=ScheduleInfo, responses=problem_responses(400, 404, 409, 412, 413, 415, 422, 503)
)
@needs(Scope.OPERATE)
async def change_schedule(request: Request, schedule: Found) -> Response:
    """Change the given fields of a schedule or of its `task`; null resets a field to its default.

    With `If-Match`, nothing is changed if the schedule has been changed since the client got it.
    """
    runtime = runtime_of(request)

    def changed(body: bytes) -> Plan:
        submission, task_changes = merged(schedule.plan, body)
        job = None if task_changes else schedule.plan.job
        return to_plan(submission, runtime.registry, schedule.plan.owner, runtime.secret_keys, job)

    plan = await read_as(request, changed)
    return _response(request, await runtime_of(request).database.call(_change, request, schedule, plan))


@router.post(
    "/{schedule}/pause",
    response_model=ScheduleInfo,
    responses=problem_responses(400, 404, 409, 412, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.OPERATE)
async def pause_schedule(request: Request, schedule: KeyInPath) -> Response:
    """Pause a schedule: it submits no tasks until you resume it. Tasks that it already submitted continue."""
    return await _rested(request, schedule, paused=True)


@router.post(
    "/{schedule}/resume",
    response_model=ScheduleInfo,
    responses=problem_responses(400, 404, 409, 412, 422, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.OPERATE)
async def resume_schedule(request: Request, schedule: KeyInPath) -> Response:
    """Resume a paused schedule from its next tick on. Ticks that passed during the pause are not made up."""
    return await _rested(request, schedule, paused=False)


@router.post(
    "/{schedule}/run",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Accepted,
    responses=problem_responses(400, 404, 409, 412, 422, 429, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.OPERATE)
async def run_schedule(request: Request, schedule: KeyInPath) -> Response:
    """Submit the task of a schedule now, regardless of its ticks, `overlap` and pause."""
    key = key_of(request)
    try:
        found = await find(request, schedule)
        runtime_of(request).registry.get(found.plan.job["task_type"])
    except (ScheduleNotFound, PreconditionFailed, UnknownTaskType) as refusal:
        return await repeated(request, key, refusal)
    await runtime_of(request).database.call(audit_log.note, Kind.SCHEDULE, str(found.id), found.plan.owner)
    job = found.plan.new_job(found.id, traceparent=traces.current_traceparent())
    return await accept(request, job, key)


@router.delete("/{schedule}", responses=problem_responses(404, 412, 503))
@needs(Scope.OPERATE)
async def delete_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """Delete a schedule and return its last state. Its tasks stay, and those that run continue."""
    version = schedule.version if versions.is_guarded(request) else None
    gone = await runtime_of(request).database.call(schedules.delete, schedule.id, version)
    if gone is None and version is not None:
        raise versions.changed()
    return _shown(request, gone or schedule)


async def _rested(request: Request, schedule: str, *, paused: bool) -> Response:
    key = key_of(request)
    try:
        found = await find(request, schedule)
    except (ScheduleNotFound, PreconditionFailed) as refusal:
        return await answers.repeated(request, key, refusal)

    def rest(connection: Any) -> tuple[StoredAnswer, Schedule]:
        rested = _change(connection, request, found, found.plan.resting(paused))
        return StoredAnswer(HTTPStatus.OK, body=_shown(request, rested).model_dump_json()), rested

    answer, rested = await answers.once(request, key, rest)
    return _response(request, rested) if rested else answers.response(answer, replayed=True)


def _change(connection: Any, request: Request, schedule: Schedule, plan: Plan) -> Schedule:
    """The schedule with this plan; raises ScheduleExists, PreconditionFailed or ScheduleChanged."""
    if plan == schedule.plan:
        return schedule
    moves = _times(plan) != _times(schedule.plan)
    next_at = plan.next_at(schedules.now(connection)) if moves else None
    if changed := schedules.update(connection, schedule, plan, moves=moves, next_at=next_at):
        return changed
    namesake = schedules.get(connection, plan.name)
    if namesake is not None and namesake.id != schedule.id:
        raise _taken(plan)
    if versions.is_guarded(request):
        raise versions.changed()
    raise ScheduleChanged("another request changed or deleted the schedule: get it again and repeat the change")


def _times(plan: Plan) -> tuple[Any, ...]:
    return plan.cron, plan.timezone, plan.paused


def _settings(schedule: Schedule) -> object:
    return schedule.id.hex, schedule.version


def _response(request: Request, schedule: Schedule) -> Response:
    return versions.response(request, _shown(request, schedule), _settings(schedule))


def _shown(request: Request, schedule: Schedule) -> ScheduleInfo:
    return ScheduleInfo.of(schedule, runtime_of(request).registry, request.scope.get("root_path", ""))


def _taken(plan: Plan) -> ScheduleExists:
    return ScheduleExists(
        f"the name {owned_keys.name(plan.name)!r} is taken: choose another name, or change that schedule with PATCH"
    )
