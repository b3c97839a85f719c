"""The list of jobs: its address is the filter, as of `GET /tasks`. Acts on those that are picked, or all that match."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobcore.states import Status
from longrun_api.console.forms import Form, read_form
from longrun_api.console.inner_api import InnerApi, Refused
from longrun_api.console.page import HEADERS, Page, page, see

MEMBERS: Final = "task_id,task_type,status,queue,owner,progress,attempt,error,created_at,timings,tags"
LIMIT: Final = "50"
OF_THE_LIST: Final = frozenset({"sort", "cursor"})
"""Parameters that say which page of the list is shown, and not which jobs it has."""
TIMES: Final = frozenset({"created_after", "created_before", "finished_after", "finished_before"})
LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""What a field for a time sends."""
ACTS: Final = {"cancel": "Cancel", "retry": "Retry"}
Pairs = list[tuple[str, str]]


@page
async def show(request: Request) -> Page | Response:
    """The jobs that match every parameter of the address, newest first, and how many have each status."""
    given = request.query_params.multi_items()
    asked = [(name, _as_time(name, value.strip())) for name, value in given if value.strip()]
    if asked != given:  # a form sends its empty fields too, and times without a zone
        return RedirectResponse(f"{request.url.path}?{urlencode(asked)}" if asked else request.url.path, 303, HEADERS)
    api, condition = InnerApi(request), [pair for pair in asked if pair[0] not in OF_THE_LIST]
    without_status = [pair for pair in condition if pair[0] != "status"]
    try:
        found, counted = await asyncio.gather(
            api.get("/tasks", [*asked, ("fields", MEMBERS), ("limit", LIMIT)]),
            _counts(api, without_status),
        )
    except Refused as refusal:
        if refusal.status != 422:
            raise
        return Page("jobs.html", _values(asked, condition) | {"errors": refusal.fields}, 422)
    more = urlencode([*(pair for pair in asked if pair[0] != "cursor"), ("cursor", found["next"])])
    return Page(
        "jobs.html",
        _values(asked, condition) | {"jobs": found["items"], "counts": counted, "next": found["next"] and f"?{more}"},
    )


@page
async def confirm(request: Request) -> Page | Response:
    """Say how many jobs an act would change, and ask; or carry it out, once the form says that it was asked."""
    form = await read_form(request)
    act, body = form.get("act", ""), _which(form)
    if act not in ACTS or body is None:
        return see(request, f"/jobs?{form.get('filter', '')}")
    is_sure = "sure" in form
    answer = await InnerApi(request).send("POST", f"/tasks:{act}", {**body, "dry_run": not is_sure})
    values = {
        "act": act,
        "name": ACTS[act],
        "is_done": is_sure,
        "result": answer.json,
        "is_job": answer.status == 202,
        "ids": body.get("ids", []),
        "filter": form.get("filter", ""),
    }
    return Page("jobs_act.html", values)


async def _counts(api: InnerApi, condition: Pairs) -> dict[str, Any]:
    """The number of jobs of each status; none for a filter by the beginning of an id, which is for few jobs."""
    if any(name == "id_prefix" for name, _ in condition):
        return {}
    counts: dict[str, Any] = (await api.get("/tasks:count", condition))["counts"]
    return counts


def _which(form: Form) -> dict[str, Any] | None:
    """The jobs that a form names, as a bulk action takes them; None: none."""
    if "matching" not in form:
        ids = form.getlist("id")
        return {"ids": ids} if ids else None
    condition: dict[str, Any] = {}
    for name, value in parse_qsl(form.get("filter", "")):
        if name in OF_THE_LIST:
            continue
        if name in ("status", "task_type", "queue", "tag"):
            condition.setdefault(name, []).append(value)
        else:
            condition[name] = json.loads(value) if name in ("metadata", "input") else value
    return {"filter": condition} if condition else {"all": True}


def _values(asked: Pairs, condition: Pairs) -> dict[str, Any]:
    first: dict[str, str] = {}
    for name, value in condition:
        first.setdefault(name, value)
    chosen = [value for name, value in condition if name == "status"]
    others = [pair for pair in asked if pair[0] not in ("status", "cursor")]
    return {
        "values": first,
        "chosen": chosen,
        "sort": dict(asked).get("sort", "-created"),
        "tabs": [("All", "", urlencode(others))]
        + [(status.value, status.value, urlencode([*others, ("status", status.value)])) for status in Status],
        "filter": urlencode(condition),
        "errors": {},
        "jobs": [],
        "counts": {},
        "next": None,
    }


def _as_time(name: str, value: str) -> str:
    """The time of a field of a form, which has no zone: it is in UTC."""
    if name not in TIMES or not LOCAL.fullmatch(value):
        return value
    return f"{value}Z" if len(value) == len("2026-01-02T03:04:05") else f"{value}:00Z"
