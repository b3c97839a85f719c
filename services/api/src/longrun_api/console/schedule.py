"""Editing a schedule: only what was changed is sent, so that two people can change different fields."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from jobcore.schedule import MissedRuns, Overlap
from longrun_api.console import input_forms
from longrun_api.console.forms import Form, read_form
from longrun_api.console.inner_api import InnerApi, Refused
from longrun_api.console.input_forms import NOTHING, Field, NoJson, Wrong
from longrun_api.console.page import Page, page, see

FIELDS: Final = (
    Field("cron", "Cron", "text", "", "Minute, hour, day of month, month, day of week.", is_required=True),
    Field("timezone", "Time zone", "text", "", "Such as Europe/Berlin.", is_required=True),
    Field("overlap", "While a job of an earlier tick runs", "text", "", choices=tuple(Overlap), is_required=True),
    Field("missed_runs", "Ticks that were missed", "text", "", choices=tuple(MissedRuns), is_required=True),
    Field("max_missed_runs", "Most missed ticks that run_all makes up", "number", "", is_required=True),
    Field("start_deadline_s", "Deadline", "number", "", "Seconds by which a tick may be late; empty: any number."),
    Field("task", "Task", "json", "", "What each tick submits. Secrets must be entered again.", is_required=True),
)

ANSWERED: Final = frozenset({409, 422})
"""Refusals that the form shows."""


@page
async def edit(request: Request) -> Page:
    """The form, filled with the schedule as it is."""
    schedule = await InnerApi(request).get(_path(request))
    return _form(schedule, _filled(schedule))


@page
async def save(request: Request) -> Page | Response:
    """Change the fields that differ from the schedule; what the API refuses is said at the field."""
    form, api = await read_form(request), InnerApi(request)
    schedule = await api.get(_path(request))
    shown = input_forms.refilled(FIELDS, form)
    try:
        await api.send("PATCH", _path(request), _changes(schedule, form))
    except (NoJson, Refused) as error:
        return _form(schedule, shown, input_forms.wrong(error, ANSWERED))
    return see(request, "/schedules")


def _changes(schedule: dict[str, Any], form: Form) -> dict[str, Any]:
    given = input_forms.members(FIELDS, form)
    values = {field.name: given.get(field.name) for field in FIELDS}
    return {name: value for name, value in values.items() if value != schedule[name]}


def _filled(schedule: dict[str, Any]) -> list[Field]:
    return [input_forms.filled(field, schedule[field.name]) for field in FIELDS]


def _form(schedule: dict[str, Any], fields: list[Field], wrong: Wrong = NOTHING) -> Page:
    values = {"schedule": schedule, "fields": fields, "errors": wrong.errors, "detail": wrong.detail}
    return Page("schedule.html", values, wrong.status)


def _path(request: Request) -> str:
    return f"/schedules/{request.path_params['id']}"
