"""`/schedules`: tasks that run again and again: create, look up, list, change, pause, resume, run now, delete."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from jobcore.errors import ScheduleChanged, ScheduleExists, ScheduleNotFound, UnknownTaskType
from jobcore.schedule import MissedRuns, Overlap, Plan, Schedule
from jobcore.store import schedules
from jobcore.tasks import Registry
from jobcore.telemetry import traces
from longrun_api import cursors, paging
from longrun_api.acceptance import accept
from longrun_api.body import read_as
from longrun_api.openapi import problem_responses
from longrun_api.runtime import runtime_of
from longrun_api.scheduling import NAME, merged, parse_schedule, to_plan
from longrun_api.schemas import Accepted, Utc

router = APIRouter(prefix="/schedules", tags=["schedules"])

FIRST_ROWS: Final = 20
"""A schedule holds the input of its task, which may be as large as a request body."""
KeyInPath = Annotated[str, Path(description="The schedule's id or name.", json_schema_extra={"pattern": NAME})]


class ScheduleLinks(BaseModel):
    """Where to look next."""

    self: str
    tasks: str
    pause: str
    resume: str
    run: str


class ScheduleError(BaseModel):
    """Why the schedule cannot make jobs."""

    message: str
    at: Utc | None = Field(description="When it was last tried; null if that is known without trying.")


class ScheduleInfo(BaseModel):
    """A schedule as it stands."""

    schedule_id: UUID
    name: str
    cron: str
    timezone: str
    task: dict[str, Any] = Field(description="As it was given.")
    overlap: Overlap
    missed_runs: MissedRuns
    max_missed_runs: int
    start_deadline_s: float | None
    paused: bool
    next_at: Utc | None = Field(description="The next tick; null while paused.")
    last_at: Utc | None = Field(description="The latest tick that made a job.")
    runs: int = Field(description="Ticks that made a job.")
    skipped: int = Field(description="Ticks that made none because of `overlap`.")
    missed: int = Field(
        description="Ticks that made none because they were too late; at most 1,000 are counted a time."
    )
    error: ScheduleError | None
    created_at: Utc
    updated_at: Utc
    links: ScheduleLinks

    @classmethod
    def of(cls, schedule: Schedule, registry: Registry, root_path: str) -> Self:
        """The schedule as clients see it."""
        plan = schedule.plan
        here = f"{root_path}/schedules/{schedule.id}"
        return cls(
            schedule_id=schedule.id,
            name=plan.name,
            cron=plan.cron,
            timezone=plan.timezone,
            task=dict(plan.task),
            overlap=Overlap(plan.overlap),
            missed_runs=MissedRuns(plan.missed_runs),
            max_missed_runs=plan.max_missed_runs,
            start_deadline_s=plan.start_deadline_s,
            paused=plan.paused,
            next_at=schedule.next_at,
            last_at=schedule.last_at,
            runs=schedule.runs,
            skipped=schedule.skipped,
            missed=schedule.missed,
            error=_error(schedule, registry),
            created_at=schedule.created_at,
            updated_at=schedule.updated_at,
            links=ScheduleLinks(
                self=here,
                tasks=f"{root_path}/tasks?schedule_id={schedule.id}",
                pause=f"{here}/pause",
                resume=f"{here}/resume",
                run=f"{here}/run",
            ),
        )


def _error(schedule: Schedule, registry: Registry) -> ScheduleError | None:
    if schedule.error is not None:
        return ScheduleError(message=schedule.error, at=schedule.error_at)
    try:
        registry.get(schedule.plan.job["task_type"])
    except UnknownTaskType as error:
        return ScheduleError(message=str(error), at=None)
    return None


class SchedulePage(BaseModel):
    """A page of the schedules, newest first."""

    items: list[ScheduleInfo]
    next: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


async def schedule(request: Request, schedule: KeyInPath) -> Schedule:
    """The schedule that the path names; ScheduleNotFound if there is none."""
    key = _key(schedule)
    found = None if key is None else await runtime_of(request).database.call(schedules.get, key)
    if found is None:
        raise ScheduleNotFound(f"no schedule has the id or name {schedule[:100]!r}; GET /schedules lists them")
    return found


Found = Annotated[Schedule, Depends(schedule)]


def _key(text: str) -> UUID | str | None:
    try:
        return UUID(text)
    except ValueError:
        return text if re.fullmatch(NAME, text) else None


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(400, 409, 413, 415, 422, 503),
)
async def create_schedule(request: Request, response: Response) -> ScheduleInfo:
    """Keep a schedule: from its next tick on it makes a job each time."""
    runtime = runtime_of(request)
    plan = await read_as(request, lambda body: to_plan(parse_schedule(body), runtime.registry))
    now = await runtime.database.call(schedules.now)
    made = await runtime.database.call(schedules.insert, uuid7(), plan, plan.next_at(now))
    if made is None:
        raise _taken(plan)
    shown = _shown(request, made)
    response.headers["Location"] = shown.links.self
    return shown


class ScheduleQuery(BaseModel):
    """Which schedules to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="The most items in one page.")
    cursor: str | None = Field(None, description="`next` of the page before.")


@router.get("", response_model=SchedulePage, responses=problem_responses(422, 503))
async def list_schedules(request: Request, query: Annotated[ScheduleQuery, Query()]) -> Response:
    """The schedules, newest first. A page has at most 4 MiB: it may have fewer than `limit` items before the last."""
    database = runtime_of(request).database
    start = None if query.cursor is None else cursors.decode(query.cursor)

    def rows(connection: Any, before: UUID | None, limit: int) -> list[tuple[UUID, bytes]]:
        found = schedules.page(connection, limit=limit, before=before)
        return [(each.id, _shown(request, each).model_dump_json().encode()) for each in found]

    page = await paging.read(lambda last, limit: database.call(rows, last or start, limit), query.limit, FIRST_ROWS)
    return page.response(next=cursors.encode(page.last) if page.last and page.has_more else None)


@router.get("/{schedule}", responses=problem_responses(404, 503))
async def get_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """A schedule as it stands now."""
    return _shown(request, schedule)


@router.patch("/{schedule}", responses=problem_responses(400, 404, 409, 413, 415, 422, 503))
async def change_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """Change the fields that are given, of the schedule or of its `task`; null brings back a default."""
    registry = runtime_of(request).registry

    def changed(body: bytes) -> Plan:
        submission, task_changes = merged(schedule.plan, body)
        return to_plan(submission, registry, None if task_changes else schedule.plan.job)

    return await _changed(request, schedule, await read_as(request, changed))


@router.post("/{schedule}/pause", responses=problem_responses(404, 409, 503))
async def pause_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """Make no more jobs until it is resumed; what is there goes on."""
    return await _changed(request, schedule, schedule.plan.resting(True))


@router.post("/{schedule}/resume", responses=problem_responses(404, 409, 422, 503))
async def resume_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """Go on with the next tick; what passed meanwhile is not made up for."""
    return await _changed(request, schedule, schedule.plan.resting(False))


@router.post(
    "/{schedule}/run",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Accepted,
    responses=problem_responses(404, 422, 503),
)
async def run_schedule(request: Request, schedule: Found) -> Response:
    """Submit its task now, whatever its ticks, its overlap and its pause say."""
    runtime_of(request).registry.get(schedule.plan.job["task_type"])
    return await accept(request, schedule.plan.new_job(schedule.id, traceparent=traces.current_traceparent()))


@router.delete("/{schedule}", responses=problem_responses(404, 503))
async def delete_schedule(request: Request, schedule: Found) -> ScheduleInfo:
    """Forget a schedule; the answer is what it was. Its jobs stay, and those that run go on."""
    gone = await runtime_of(request).database.call(schedules.delete, schedule.id)
    return _shown(request, gone or schedule)


async def _changed(request: Request, schedule: Schedule, plan: Plan) -> ScheduleInfo:
    if plan == schedule.plan:
        return _shown(request, schedule)
    database = runtime_of(request).database
    moves = _times(plan) != _times(schedule.plan)
    next_at = plan.next_at(await database.call(schedules.now)) if moves else None
    changed = await database.call(schedules.update, schedule, plan, moves=moves, next_at=next_at)
    if changed is not None:
        return _shown(request, changed)
    namesake = await database.call(schedules.get, plan.name)
    if namesake is not None and namesake.id != schedule.id:
        raise _taken(plan)
    raise ScheduleChanged("another request changed or deleted it meanwhile: look at it, and try again")


def _times(plan: Plan) -> tuple[Any, ...]:
    return plan.cron, plan.timezone, plan.paused


def _shown(request: Request, schedule: Schedule) -> ScheduleInfo:
    return ScheduleInfo.of(schedule, runtime_of(request).registry, request.scope.get("root_path", ""))


def _taken(plan: Plan) -> ScheduleExists:
    return ScheduleExists(f"{plan.name!r} is taken: choose another name, or change that schedule by PATCH")
