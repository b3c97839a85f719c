"""The first page: what runs, what failed, and what needs somebody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from longrun_api.callers import owner_of
from longrun_api.console import charts
from longrun_api.console.inner_api import InnerApi, Parameters
from longrun_api.console.page import Page, page

LATE_S: Final = 300.0
"""A job that has been ready for so long makes its queue a queue at risk."""


@page
async def show(request: Request) -> Page:
    """How many jobs there are, what happened to them, queues at risk, failures, workers, and schedules due next."""
    api, last = InnerApi(request), request.query_params.get("last", "hour")
    counted, stats, failed, schedules, queues, workers = await asyncio.gather(
        api.get("/tasks:count"),
        api.get("/stats", [("last", last)]),
        api.get(
            "/tasks",
            [("status", "FAILED"), ("limit", "5"), ("fields", "task_id,task_type,queue,error,finished_at,created_at")],
        ),
        api.get("/schedules", [("limit", "50")]),
        _of_operators(request, api, "/queues", [("limit", "200")]),
        _of_operators(request, api, "/workers"),
    )
    return Page(
        "overview.html",
        {
            "counts": counted["counts"],
            "last": last,
            "charts": charts.of_stats(stats),
            "box": {"width": charts.WIDTH, "height": charts.HEIGHT},
            "figures": [each for each in reversed(stats["items"]) if _is_told(each)],
            "begin": stats["items"][0]["at"],
            "failed": failed["items"],
            "next_schedules": sorted(
                (each for each in schedules["items"] if each["next_at"]), key=lambda each: str(each["next_at"])
            )[:5],
            "queues": queues,
            "at_risk": [(queue, risk) for queue in queues or () if (risk := _risk(queue))],
            "workers": workers,
        },
    )


def _is_told(figures: Mapping[str, Any]) -> bool:
    """Whether anything happened."""
    return any(value for name, value in figures.items() if name != "at")


async def _of_operators(request: Request, api: InnerApi, path: str, parameters: Parameters = ()) -> list[Any] | None:
    """What only callers without an owner see; None for others."""
    if owner_of(request) is not None:
        return None
    items: list[Any] = (await api.get(path, parameters))["items"]
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
