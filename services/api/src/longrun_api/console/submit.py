"""Submitting a job by a form: a new one of a task type, or one like another job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from longrun_api.console import input_forms
from longrun_api.console.forms import Form, read_form
from longrun_api.console.inner_api import InnerApi, Refused
from longrun_api.console.input_forms import NOTHING, Field, NoJson, Wrong
from longrun_api.console.page import Page, page, see

OPTIONS: Final = (
    Field("queue", "Queue", "text", "", "If it is empty: that of the task type."),
    Field("priority", "Priority", "number", "", "0 to 9; 9 is the most urgent."),
    Field("delay_s", "Delay", "number", "", "Seconds until it may start."),
    Field("max_attempts", "Tries", "number", "", "If it is empty: as many as the task type has."),
    Field("tags", "Tags", "json", "", 'Such as ["nightly", "eu"].'),
    Field("metadata", "Metadata", "json", "", "An object."),
)
KEPT: Final = frozenset({"queue", "priority", "tags", "metadata"})
"""Options that a job which is submitted again has of the one before."""
ANSWERED: Final = frozenset({413, 422, 429})
"""Refusals that the form shows."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A form before anything is entered."""

    name: str
    task_type: str
    input: list[Field]
    options: list[Field]
    note: str
    back: str

    def page(self, form: Form | None = None, wrong: Wrong = NOTHING) -> Page:
        """The form as a page, with what was entered and what is wrong with it."""
        fields = [*self.input, *self.options]
        values = {
            "name": self.name,
            "task_type": self.task_type,
            "note": self.note,
            "back": self.back,
            "fields": fields if form is None else input_forms.refilled(fields, form),
            "errors": wrong.errors,
            "detail": wrong.detail,
        }
        return Page("submit.html", values, wrong.status)


@page
async def new(request: Request) -> Page:
    """The task types; or the form for a job of the one that the address names."""
    if "task_type" not in request.query_params:
        return Page("new_job.html", {"types": (await InnerApi(request).get("/task-types"))["items"]})
    return (await _new(request)).page()


@page
async def submit_new(request: Request) -> Page | Response:
    """Submit a new job."""
    return await _submitted(request, await read_form(request), await _new(request))


@page
async def again(request: Request) -> Page:
    """The form for a job like this one."""
    return (await _again(request)).page()


@page
async def submit_again(request: Request) -> Page | Response:
    """Submit a new job like this one."""
    return await _submitted(request, await read_form(request), await _again(request))


async def _submitted(request: Request, form: Form, sheet: Sheet) -> Page | Response:
    """Submit what the form says; what the API refuses is said at the field."""
    try:
        given = {"input": input_forms.read(sheet.input, form), **input_forms.members(sheet.options, form)}
        answer = await InnerApi(request).send("POST", "/tasks", {"task_type": sheet.task_type, **given})
    except (NoJson, Refused) as error:
        return sheet.page(form, input_forms.wrong(error, ANSWERED))
    return see(request, f"/jobs/{answer.json['task_id']}")


async def _new(request: Request) -> Sheet:
    wanted = request.query_params.get("task_type")
    types = (await InnerApi(request).get("/task-types"))["items"]
    about = next((each for each in types if each["name"] == wanted), None)
    if about is None:
        raise HTTPException(404)
    asked = input_forms.fields(about["input_schema"], about["example"] or {})
    return Sheet("New job", about["name"], asked, list(OPTIONS), about["description"], "/new")


async def _again(request: Request) -> Sheet:
    api, here = InnerApi(request), request.path_params["id"]
    job, types = await asyncio.gather(api.get(f"/tasks/{here}"), api.get("/task-types"))
    schemas = {each["name"]: each["input_schema"] for each in types["items"]}
    asked = input_forms.fields(schemas.get(job["task_type"], {}), job["input"])
    options = [input_forms.filled(each, job[each.name]) if each.name in KEPT else each for each in OPTIONS]
    return Sheet("Submit again", job["task_type"], asked, options, f"A new job like {here}.", f"/jobs/{here}")
