"""Calls of the API for queues and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.models_queues import ConcurrencyLimit, ConcurrencyLimitPage, Queue, QueuePage
from longrun_client.wire import KeysetPage


def queue_page(after: str | None) -> Call[KeysetPage[Queue]]:
    """GET /queues: one page, by name."""
    return Call("GET", "/queues", QueuePage.model_validate, params=without_none({"limit": PAGE_SIZE, "after": after}))


def queue(name: str) -> Call[Queue]:
    """GET /queues/{name}."""
    return Call("GET", _queue_path(name), Queue.model_validate)


def change_queue(name: str, changes: Mapping[str, Any]) -> Call[Queue]:
    """PATCH /queues/{name}, which is idempotent."""
    return Call("PATCH", _queue_path(name), Queue.model_validate, body=dict(changes))


def delete_queue(name: str) -> Call[None]:
    """DELETE /queues/{name}."""
    return Call("DELETE", _queue_path(name), lambda _: None)


def concurrency_limit_page(after: str | None, owner: str | None = None) -> Call[KeysetPage[ConcurrencyLimit]]:
    """GET /concurrency-limits: one page, by key."""
    params = without_none({"limit": PAGE_SIZE, "after": after, "owner": owner})
    return Call("GET", "/concurrency-limits", ConcurrencyLimitPage.model_validate, params=params)


def set_concurrency_limit(key: str, max_running: int, owner: str | None) -> Call[ConcurrencyLimit]:
    """PUT /concurrency-limits/{key}."""
    body, params = {"max_running": max_running}, without_none({"owner": owner})
    return Call("PUT", _limit_path(key), ConcurrencyLimit.model_validate, params=params, body=body)


def clear_concurrency_limit(key: str, owner: str | None) -> Call[None]:
    """DELETE /concurrency-limits/{key}."""
    return Call("DELETE", _limit_path(key), lambda _: None, params=without_none({"owner": owner}))


def _queue_path(name: str) -> str:
    return f"/queues/{quote(name, safe='')}"


def _limit_path(key: str) -> str:
    return f"/concurrency-limits/{quote(key, safe='')}"
