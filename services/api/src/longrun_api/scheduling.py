"""The bodies of `POST /schedules` and `PATCH /schedules/{schedule}`, and their conversion to a plan to store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobcore.cron import Cron
from jobcore.errors import FieldError, InvalidInput
from jobcore.models import NewJob, owned_keys
from jobcore.models.caller import OPERATOR
from jobcore.schedule import MissedRuns, Overlap, Plan
from jobcore.sealing.keys import SecretKeys
from jobcore.tasks import Registry
from longrun_api.field_types import Integer, Owner
from longrun_api.submission import DAY_S, Submission, TaskTemplate, parse_as, to_job

NAME: Final = r"^[a-z0-9][a-z0-9_.-]{0,62}$"
PER_JOB: Final = {"id", "run_at", "delay_s", "expires_at", "traceparent", "schedule_id", "scheduled_for", "dedupe_key"}
OPTIONS: Final = tuple(name for name in NewJob._fields if name not in PER_JOB)
"""Fields of a job that are the same at every tick."""


class ScheduleSubmission(BaseModel):
    """A cron schedule and the task that it submits at each tick."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(
        pattern=NAME, description="A name that no other schedule of its owner has; it must not look like a UUID."
    )
    owner: Owner | None = Field(
        None,
        description="Whose schedule it is, and its tasks; by default the caller's. Only a caller without an owner that "
        "has the scope `admin` may name another one. It cannot be changed.",
    )
    cron: str = Field(
        max_length=200,
        description="Minute, hour, day of month, month and day of week; with six fields, the first is the second. "
        "`@hourly`, `@daily` and the like work too.",
        examples=["30 2 * * MON-FRI"],
    )
    timezone: str = Field(
        "UTC", max_length=100, description="The IANA time zone of `cron`.", examples=["Europe/Berlin"]
    )
    task: TaskTemplate = Field(description="The task to submit at each tick, as in `POST /tasks` but without times.")
    overlap: Overlap = Field(
        Overlap.SKIP,
        strict=False,
        description="What a tick does while a task of an earlier tick has not ended: `skip` the tick, `allow_all` to "
        "run both, or `cancel_other` to cancel the earlier task.",
    )
    missed_runs: MissedRuns = Field(
        MissedRuns.RUN_ONCE,
        strict=False,
        description="What to do about ticks that passed while Longrun was down: `skip` them, `run_once` for the "
        "latest, or `run_all`.",
    )
    max_missed_runs: Integer = Field(
        10, ge=1, le=100, description="Maximum number of missed ticks that `run_all` makes up."
    )
    start_deadline_s: float | None = Field(
        None,
        gt=0,
        le=366 * DAY_S,
        allow_inf_nan=False,
        description="A tick that is late by more than this number of seconds is missed; null: no deadline.",
    )
    paused: bool = Field(
        False, description="Whether the schedule is paused. Ticks that pass during a pause are not made up."
    )


class _Object(RootModel[dict[str, Any]]):
    """Any JSON object."""


def parse_schedule(body: bytes) -> ScheduleSubmission:
    """Parse a request body as a schedule; raises MalformedJson or InvalidInput."""
    return parse_as(ScheduleSubmission, body)


def merged(plan: Plan, body: bytes) -> tuple[ScheduleSubmission, bool]:
    """The schedule with the changes of a request body applied, and whether they change its task.

    Each given field of the schedule or of its task replaces the current value; null resets it to its default.
    """
    changes = parse_as(_Object, body).root
    now = {name: getattr(plan, name) for name in ScheduleSubmission.model_fields} | {"name": owned_keys.name(plan.name)}
    if "owner" in changes and changes.pop("owner") != plan.owner:
        raise InvalidInput(FieldError("owner", "cannot be changed: create a schedule for the other owner"))
    if isinstance(changes.get("task"), Mapping):
        if "sealed" in plan.job and "input" not in changes["task"]:
            message = "must be given with a change of the task: it has secrets, which nobody is shown"
            raise InvalidInput(FieldError("task.input", message))
        changes["task"] = _given({**plan.task, **changes["task"]})
    return parse_as(ScheduleSubmission, json.dumps(_given({**now, **changes}))), "task" in changes


def to_plan(
    submission: ScheduleSubmission,
    registry: Registry,
    owner: str | None,
    secret_keys: SecretKeys,
    job: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan to store for this owner; raises InvalidInput. `job` is what ticks submit, if it does not change."""
    Cron.parse(submission.cron, submission.timezone)
    if _is_uuid(submission.name):
        raise InvalidInput(FieldError("name", "must not look like a UUID, because ids do"))
    if submission.missed_runs is MissedRuns.RUN_ALL and submission.overlap is not Overlap.ALLOW_ALL:
        raise InvalidInput(
            FieldError(
                "missed_runs",
                "run_all may start several tasks at once, so it needs overlap allow_all; or use run_once",
            )
        )
    task = submission.task.model_dump(mode="json", exclude_unset=True)
    if job is None:
        job = _job(task, registry, owner, secret_keys)
        task["input"] = job["input"]  # without secrets
    return Plan(
        name=owned_keys.stored(owner, submission.name),
        cron=submission.cron,
        timezone=submission.timezone,
        overlap=submission.overlap,
        missed_runs=submission.missed_runs,
        max_missed_runs=submission.max_missed_runs,
        start_deadline_s=submission.start_deadline_s,
        paused=submission.paused,
        task=task,
        job=job,
    )


def _job(task: Mapping[str, Any], registry: Registry, owner: str | None, secret_keys: SecretKeys) -> dict[str, Any]:
    try:
        submission = parse_as(Submission, json.dumps({**task, "owner": owner}))
        job = to_job(submission, registry, None, OPERATOR, secret_keys)
    except InvalidInput as error:
        raise type(error)(*(FieldError(f"task.{item.field}", item.message) for item in error.errors)) from None
    # leave out what was not given: a keeper of the previous version does not know newer options
    return _given({name: getattr(job, name) for name in OPTIONS}) | {"input": json.loads(str(job.input))}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_uuid(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
