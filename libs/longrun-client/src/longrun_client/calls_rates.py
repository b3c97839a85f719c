"""Calls of the API for rate limits."""

from __future__ import annotations

from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.calls_queues import change_queue
from longrun_client.models_queues import Queue
from longrun_client.models_rates import RateLimit, RateLimitPage
from longrun_client.wire import KeysetPage


def rate_limit_page(after: str | None, owner: str | None = None) -> Call[KeysetPage[RateLimit]]:
    """GET /rate-limits: one page, by key."""
    params = without_none({"limit": PAGE_SIZE, "after": after, "owner": owner})
    return Call("GET", "/rate-limits", RateLimitPage.model_validate, params=params)


def rate_limit(key: str, owner: str | None) -> Call[RateLimit]:
    """GET /rate-limits/{key}."""
    return Call("GET", _path(key), RateLimit.model_validate, params=without_none({"owner": owner}))


def set_rate_limit(key: str, max_starts: int, window_s: float, owner: str | None) -> Call[RateLimit]:
    """PUT /rate-limits/{key}."""
    body, params = {"max_starts": max_starts, "window_s": window_s}, without_none({"owner": owner})
    return Call("PUT", _path(key), RateLimit.model_validate, params=params, body=body)


def clear_rate_limit(key: str, owner: str | None) -> Call[None]:
    """DELETE /rate-limits/{key}."""
    return Call("DELETE", _path(key), lambda _: None, params=without_none({"owner": owner}))


def limit_queue_rate(name: str, max_starts: int | None, window_s: float) -> Call[Queue]:
    """PATCH /queues/{name}: its rate limit."""
    rate = None if max_starts is None else {"max_starts": max_starts, "window_s": window_s}
    return change_queue(name, {"rate_limit": rate})


def _path(key: str) -> str:
    return f"/rate-limits/{quote(key, safe='')}"
