"""The page of a job: its events so far, which its stream continues, and what can be done with it."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobcore.models.caller import Scope
from jobcore.states import TERMINAL
from jobcore.store import event_pages
from longrun_api.auth.scopes import authorized, needs
from longrun_api.console.forms import read_form
from longrun_api.console.inner_api import InnerApi, Refused, api_of, inner_scope
from longrun_api.console.page import HEADERS, Page, console_root, page
from longrun_api.runtime import runtime_of
from longrun_api.times import rfc3339

EVENTS: Final = 500
"""Events that a page shows: the last ones, or those behind the cursor in its address."""
EVENT_BYTES: Final = 512 * 1024


@page
async def show(request: Request) -> Page:
    """Everything that the API knows of a job."""
    api, here = InnerApi(request), _path(request)
    job = await api.get(here)
    after = _cursor(request, max(0, job["seq"] - EVENTS))
    attempts, why, deliveries, events = await asyncio.gather(
        api.get(f"{here}/attempts", [("limit", "200")]),
        _why(api, here, job),
        _deliveries(api, here, job),
        runtime_of(request).database.call(
            event_pages.page, UUID(job["task_id"]), after, max_events=EVENTS, max_bytes=EVENT_BYTES
        ),
    )
    shown = [
        {"seq": event.seq, "at": rfc3339(event.at), "attempt": event.attempt, "kind": event.kind, "data": event.data}
        for event in events.events
    ]
    return Page(
        "job.html",
        {
            "job": job,
            "attempts": attempts["items"],
            "has_more_attempts": len(attempts["items"]) == 200,
            "why": why,
            "deliveries": deliveries,
            "events": shown,
            "after": after,
            "last": shown[-1]["seq"] if shown else after,
            "is_full": events.full,
            "has_ended": job["status"] in TERMINAL,
            "trace_url": _trace_url(request, job["trace_id"]),
        },
    )


@page
async def cancel(request: Request) -> Response:
    """Cancel the job."""
    await read_form(request)
    return await _act(request, "DELETE", "")


@page
async def retry(request: Request) -> Response:
    """Retry the job."""
    await read_form(request)
    return await _act(request, "POST", "/retry")


@authorized
@needs(Scope.READ)
async def stream(request: Request) -> Response:
    """The stream of the job, as the API sends it, for the script of the page."""
    return _Passed(request, f"{_path(request)}/stream")


@authorized
@needs(Scope.READ)
async def file(request: Request) -> Response:
    """A file of the job, as the API sends it: to be stored by the browser, never shown."""
    kind = "files" if request.path_params["kind"] == "files" else "input-files"
    return _Passed(request, f"{_path(request)}/{kind}/{request.path_params['name']}")


class _Passed(Response):
    """The answer of the API to a GET, passed on as it comes."""

    def __init__(self, request: Request, path: str) -> None:
        super().__init__()
        self._api = api_of(request)
        self._scope = inner_scope(request.scope, "GET", path, request.url.query)
        passed = (b"last-event-id", b"range", b"if-none-match", b"if-range")
        self._scope["headers"] = [each for each in request.scope["headers"] if each[0] in passed]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        await self._api(self._scope, receive, send)


async def _act(request: Request, method: str, path: str) -> Response:
    try:
        await InnerApi(request).send(method, f"{_path(request)}{path}")
    except Refused as refusal:
        if refusal.status != 409:  # it has ended, or was retried, meanwhile: the page shows it
            raise
    return RedirectResponse(f"{console_root(request.scope)}/jobs/{request.path_params['id']}", 303, HEADERS)


async def _why(api: InnerApi, here: str, job: dict[str, Any]) -> Any:
    return await api.get(f"{here}/why") if job["status"] == "PENDING" else None


async def _deliveries(api: InnerApi, here: str, job: dict[str, Any]) -> list[Any]:
    found = await api.get(f"{here}/deliveries") if job["webhook"] else {"items": []}
    items: list[Any] = found["items"]
    return items


def _trace_url(request: Request, trace_id: str | None) -> str | None:
    template = runtime_of(request).settings.trace_url
    return template.replace("{trace_id}", trace_id) if template and trace_id else None


def _path(request: Request) -> str:
    return f"/tasks/{request.path_params['id']}"


def _cursor(request: Request, otherwise: int) -> int:
    text = request.query_params.get("after", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else otherwise
