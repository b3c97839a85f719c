"""Calls of the API for rate limits."""

from __future__ import annotations

from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.calls_queues import change_queue
from longrun_client.models_queues import Queue
from longrun_client.models_rates import RateLimit, RateLimitPage
from longrun_client.wire import KeysetPage


def rate_limit_page(after: str | None) -> Call[KeysetPage[RateLimit]]:
    """GET /rate-limits: one page, by key."""
    params = without_none({"limit": PAGE_SIZE, "after": after})
    return Call("GET", "/rate-limits", RateLimitPage.model_validate, params=params)


def rate_limit(key: str) -> Call[RateLimit]:
    """GET /rate-limits/{key}."""
    return Call("GET", _path(key), RateLimit.model_validate)


def set_rate_limit(key: str, max_starts: int, window_s: float) -> Call[RateLimit]:
    """PUT /rate-limits/{key}."""
    body = {"max_starts": max_starts, "window_s": window_s}
    return Call("PUT", _path(key), RateLimit.model_validate, body=body)


def clear_rate_limit(key: str) -> Call[None]:
    """DELETE /rate-limits/{key}."""
    return Call("DELETE", _path(key), lambda _: None)


def limit_queue_rate(name: str, max_starts: int | None, window_s: float) -> Call[Queue]:
    """PATCH /queues/{name}: its rate limit."""
    rate = None if max_starts is None else {"max_starts": max_starts, "window_s": window_s}
    return change_queue(name, {"rate_limit": rate})


def _path(key: str) -> str:
    return f"/rate-limits/{quote(key, safe='')}"
