"""Calls of the API that cancel or retry many tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from longrun_client.calls import Call, time_text
from longrun_client.keys import new_key
from longrun_client.models import Task
from longrun_client.models_bulk import BulkResult
from longrun_client.options import BulkOptions, FilterOptions


def bulk(action: str, ids: Sequence[str] | None, options: BulkOptions) -> Call[BulkResult]:
    """POST /tasks:cancel or /tasks:retry; raises ValueError for a time without a time zone."""
    flags = {"dry_run": options.get("dry_run"), "all": options.get("all")}
    wanted = filter_body({name: value for name, value in options.items() if name in FilterOptions.__annotations__})
    given = {"ids": None if ids is None else [str(each) for each in ids], "filter": wanted or None, **flags}
    body = {name: value for name, value in given.items() if value}
    return Call("POST", f"/tasks:{action}", _read, body=body, key=new_key(options.get("idempotency_key")))


def filter_body(options: Mapping[str, Any]) -> dict[str, Any]:
    """The filter of a request with a body."""
    return {name: _member(name, value) for name, value in options.items() if value not in (None, [], ())}


def _member(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(name, value)
    if name in ("status", "task_type", "queue", "tag"):
        return [str(each) for each in ([value] if isinstance(value, str) else value)]
    return value


def _read(body: Any) -> BulkResult:
    if "task_id" in body:
        return BulkResult(task=Task.model_validate(body))
    return BulkResult.model_validate(body)
