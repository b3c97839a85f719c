"""What operators look after: queues, workers, schedules, keys and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from longrun_api.console.forms import Form, read_form
from longrun_api.console.inner_api import InnerApi
from longrun_api.console.listing import listing
from longrun_api.console.page import Page, page, see

QUEUE_ACTS: Final[Mapping[str, object]] = {"pause": {"paused": True}, "resume": {"paused": False}}
SCHEDULE_ACTS: Final = frozenset({"pause", "resume", "run"})


@page
async def queues(request: Request) -> Page:
    """The queues by name."""
    found = await listing(request, "/queues", "after")
    return Page("queues.html", {"queues": found.items, "next": found.next})


@page
async def change_queue(request: Request) -> Response:
    """Pause, resume or limit a queue, or limit how often its jobs start; an empty limit is none."""
    form, name = await read_form(request), request.path_params["name"]
    act = form.get("act", "")
    if act == "limit":
        change: object = {"max_running": _number(form, "max_running")}
    elif act == "rate":
        rate = {each: _number(form, each) for each in ("max_starts", "window_s")}
        change = {"rate_limit": rate if any(value is not None for value in rate.values()) else None}
    else:
        change = QUEUE_ACTS.get(act, {})
    await InnerApi(request).send("PATCH", f"/queues/{name}", change)
    return see(request, "/queues")


def _number(form: Form, name: str) -> float | str | None:
    """The number of a field; what is no number as it is, so that the API says so; None if there is nothing."""
    text = form.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


@page
async def workers(request: Request) -> Page:
    """The live workers, and what they run."""
    return Page("workers.html", {"workers": (await InnerApi(request).get("/workers"))["items"]})


@page
async def schedules(request: Request) -> Page:
    """The schedules, newest first."""
    found = await listing(request, "/schedules", "cursor")
    return Page("schedules.html", {"schedules": found.items, "next": found.next})


@page
async def change_schedule(request: Request) -> Response:
    """Pause or resume a schedule, or run it now: then its job is shown."""
    form, schedule = await read_form(request), request.path_params["id"]
    act = form.get("act", "")
    if act in SCHEDULE_ACTS:
        answer = await InnerApi(request).send("POST", f"/schedules/{schedule}/{act}")
        if act == "run":
            return see(request, f"/jobs/{answer.json['task_id']}")
    return see(request, "/schedules")


@page
async def keys(request: Request) -> Page:
    """The API keys, newest first; never their secrets."""
    found = await listing(request, "/keys", "after")
    return Page("keys.html", {"keys": found.items, "next": found.next})


@page
async def revoke_key(request: Request) -> Response:
    """Revoke a key for good."""
    await read_form(request)
    await InnerApi(request).send("DELETE", f"/keys/{request.path_params['id']}")
    return see(request, "/keys")


@page
async def audit_log(request: Request) -> Page:
    """The acts of operators and admins, newest first."""
    found = await listing(request, "/audit-log", "after")
    return Page("audit_log.html", {"entries": found.items, "next": found.next})
