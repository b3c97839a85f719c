"""The webhooks of owners, and what their receivers answered. A delivery is a job: its page can send it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from longrun_api.console.forms import read_form
from longrun_api.console.inner_api import InnerApi
from longrun_api.console.page import Page, page, see

ACTS: Final[Mapping[str, tuple[str, str, object]]] = {
    "ping": ("POST", "/ping", None),
    "disable": ("PATCH", "", {"enabled": False}),
    "enable": ("PATCH", "", {"enabled": True}),
}
"""The method, the path behind that of the webhook, and the body of each act."""


@page
async def show_all(request: Request) -> Page:
    """The webhooks, newest first."""
    found = await InnerApi(request).get("/webhooks", _cursor(request))
    return Page("webhooks.html", {"webhooks": found["items"], "next": _next(found)})


@page
async def show(request: Request) -> Page:
    """A webhook and its deliveries, newest first."""
    api, here = InnerApi(request), f"/webhooks/{request.path_params['id']}"
    webhook, found = await asyncio.gather(api.get(here), api.get(f"{here}/deliveries", _cursor(request)))
    return Page("webhook.html", {"webhook": webhook, "deliveries": found["items"], "next": _next(found)})


@page
async def change(request: Request) -> Response:
    """Try, disable or enable a webhook."""
    form, webhook = await read_form(request), request.path_params["id"]
    if act := ACTS.get(form.get("act", "")):
        method, path, body = act
        await InnerApi(request).send(method, f"/webhooks/{webhook}{path}", body)
    return see(request, f"/webhooks/{webhook}")


def _cursor(request: Request) -> list[tuple[str, str]]:
    cursor = request.query_params.get("cursor")
    return [("cursor", cursor)] if cursor else []


def _next(found: Mapping[str, str | None]) -> str | None:
    return f"?{urlencode({'cursor': found['next']})}" if found["next"] else None
