"""A page of a list of the API, and the address of the next one."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request

from longrun_api.console.inner_api import InnerApi


class Listing(NamedTuple):
    """Items of a list, and the query that leads to those behind them; None: there are none."""

    items: list[dict[str, Any]]
    next: str | None


async def listing(request: Request, path: str, position: str) -> Listing:
    """The items at this path of the API, from where the page's own parameter `position` says; raises Refused."""
    value = request.query_params.get(position)
    found = await InnerApi(request).get(path, [(position, value)] if value else [])
    return Listing(found["items"], f"?{urlencode({position: found['next']})}" if found["next"] else None)
