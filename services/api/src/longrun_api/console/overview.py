"""The first page: what runs, what failed, and what needs somebody."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request

from longrun_api.callers import owner_of
from longrun_api.console.inner_api import InnerApi
from longrun_api.console.page import Page, page

LATE_S: Final = 300.0
"""A job that has been ready for so long makes its queue a queue at risk."""


@page
async def show(request: Request) -> Page:
    """The numbers of jobs, the latest failures, queues at risk, workers, and the schedules that are due next."""
    api = InnerApi(request)
    counted, failed, schedules, queues, workers = await asyncio.gather(
        api.get("/tasks:count"),
        api.get(
            "/tasks",
            [("status", "FAILED"), ("limit", "5"), ("fields", "task_id,task_type,queue,error,finished_at,created_at")],
        ),
        api.get("/schedules", [("limit", "50")]),
        _of_operators(request, api, "/queues"),
        _of_operators(request, api, "/workers"),
    )
    return Page(
        "overview.html",
        {
            "counts": counted["counts"],
            "failed": failed["items"],
            "next_schedules": sorted(
                (each for each in schedules["items"] if each["next_at"]), key=lambda each: str(each["next_at"])
            )[:5],
            "queues": queues,
            "at_risk": [(queue, risk) for queue in queues or () if (risk := _risk(queue))],
            "workers": workers,
        },
    )


async def _of_operators(request: Request, api: InnerApi, path: str) -> list[Any] | None:
    """What only callers without an owner see; None for others."""
    if owner_of(request) is not None:
        return None
    items: list[Any] = (await api.get(path))["items"]
    return items


def _risk(queue: dict[str, Any]) -> str:
    """Why somebody should look at a queue; empty: nothing is wrong with it."""
    waits = queue["ready"] + queue["blocked"] > 0
    if queue["unserved"]:
        return "no worker can run its jobs"
    if queue["paused"] and waits:
        return "it is paused, and jobs wait"
    if queue["max_running"] == 0 and waits:
        return "its limit is 0, and jobs wait"
    if (queue["oldest_s"] or 0) > LATE_S:
        return "its oldest job waits for long"
    return ""
