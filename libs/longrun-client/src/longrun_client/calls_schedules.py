"""Calls of the API for schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.keys import new_key
from longrun_client.models import Task
from longrun_client.models_schedules import Schedule, SchedulePage
from longrun_client.options import ScheduleOptions
from longrun_client.wire import KeysetPage


def create_schedule(name: str, cron: str, task: Mapping[str, Any], options: ScheduleOptions) -> Call[Schedule]:
    """POST /schedules."""
    key = new_key(options.get("idempotency_key"))
    given = {option: value for option, value in options.items() if option != "idempotency_key"}
    body = {"name": name, "cron": cron, "task": dict(task), **given}
    return Call("POST", "/schedules", Schedule.model_validate, body=body, key=key)


def schedule(key: str) -> Call[Schedule]:
    """GET /schedules/{id or name}."""
    return Call("GET", _schedule_path(key), Schedule.model_validate)


def schedule_page(cursor: str | None, owner: str | None = None) -> Call[KeysetPage[Schedule]]:
    """GET /schedules: one page, newest first."""
    params = without_none({"limit": PAGE_SIZE, "cursor": cursor, "owner": owner})
    return Call("GET", "/schedules", SchedulePage.model_validate, params=params)


def change_schedule(key: str, changes: Mapping[str, Any]) -> Call[Schedule]:
    """PATCH /schedules/{id or name}, which is idempotent."""
    return Call("PATCH", _schedule_path(key), Schedule.model_validate, body=dict(changes))


def pause_schedule(key: str, idempotency_key: str | None = None) -> Call[Schedule]:
    """POST /schedules/{id or name}/pause."""
    return Call("POST", f"{_schedule_path(key)}/pause", Schedule.model_validate, key=new_key(idempotency_key))


def resume_schedule(key: str, idempotency_key: str | None = None) -> Call[Schedule]:
    """POST /schedules/{id or name}/resume."""
    return Call("POST", f"{_schedule_path(key)}/resume", Schedule.model_validate, key=new_key(idempotency_key))


def run_schedule(key: str, idempotency_key: str | None = None) -> Call[Task]:
    """POST /schedules/{id or name}/run."""
    return Call("POST", f"{_schedule_path(key)}/run", Task.model_validate, key=new_key(idempotency_key))


def delete_schedule(key: str) -> Call[Schedule]:
    """DELETE /schedules/{id or name}."""
    return Call("DELETE", _schedule_path(key), Schedule.model_validate)


def _schedule_path(key: str) -> str:
    return f"/schedules/{quote(key, safe='')}"
