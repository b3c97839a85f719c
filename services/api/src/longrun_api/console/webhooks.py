"""The webhooks of owners, and what their receivers answered. A delivery is a job: its page can send it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from longrun_api.console.forms import read_form
from longrun_api.console.inner_api import InnerApi
from longrun_api.console.listing import listing
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
    found = await listing(request, "/webhooks", "cursor")
    return Page("webhooks.html", {"webhooks": found.items, "next": found.next})


@page
async def show(request: Request) -> Page:
    """A webhook and its deliveries, newest first."""
    here = f"/webhooks/{request.path_params['id']}"
    webhook, found = await asyncio.gather(InnerApi(request).get(here), listing(request, f"{here}/deliveries", "cursor"))
    return Page("webhook.html", {"webhook": webhook, "deliveries": found.items, "next": found.next})


@page
async def change(request: Request) -> Response:
    """Try, disable or enable a webhook."""
    form, webhook = await read_form(request), request.path_params["id"]
    if act := ACTS.get(form.get("act", "")):
        method, path, body = act
        await InnerApi(request).send(method, f"/webhooks/{webhook}{path}", body)
    return see(request, f"/webhooks/{webhook}")
