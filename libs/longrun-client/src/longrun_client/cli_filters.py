"""The options that select tasks, which several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, cast

import typer

from longrun_client.client import Longrun
from longrun_client.inputs import from_json
from longrun_client.models import Status
from longrun_client.options import FilterOptions


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-11-24 or 2026-11-24T12:00:00+01:00") from None
    return time if time.tzinfo else time.astimezone()


TIME: Final[dict[str, Any]] = {"metavar": "TIME", "parser": _time}

Statuses = Annotated[
    list[Status] | None,
    typer.Option("--status", case_sensitive=False, help="Only with this status, or any of several."),
]
TaskTypes = Annotated[list[str] | None, typer.Option("--task-type", help="Only of this task type, or any of several.")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="Only of this queue, or any of several.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Only with this tag, or with all of several.")]
Schedule = Annotated[str | None, typer.Option(help="Only of this schedule (name or id).")]
CreatedAfter = Annotated[datetime | None, typer.Option(help="Created at this time or later.", **TIME)]
CreatedBefore = Annotated[datetime | None, typer.Option(help="Created before this time.", **TIME)]
FinishedAfter = Annotated[datetime | None, typer.Option(help="Ended at this time or later.", **TIME)]
FinishedBefore = Annotated[datetime | None, typer.Option(help="Ended before this time.", **TIME)]
Metadata = Annotated[
    str | None, typer.Option(metavar="JSON", help="Metadata contains this, such as '{\"customer\": 42}'.")
]
InputPart = Annotated[str | None, typer.Option("--input", metavar="JSON", help="Input contains this.")]
ErrorPart = Annotated[str | None, typer.Option(metavar="TEXT", help="Type or message of the error has this.")]


def of_options(client: Longrun, given: Mapping[str, Any]) -> FilterOptions:
    """The filter of a command's options, which are its arguments by name, without conditions that are not given."""
    schedule = given["schedule"]
    wanted: dict[str, Any] = {
        "status": given["status"],
        "task_type": given["task_type"],
        "queue": given["queue"],
        "tag": given["tag"],
        "schedule_id": None if schedule is None else client.schedule(schedule).schedule_id,
        "created_after": given["created_after"],
        "created_before": given["created_before"],
        "finished_after": given["finished_after"],
        "finished_before": given["finished_before"],
        "metadata": _object("--metadata", given["metadata"]),
        "input": _object("--input", given["input_json"]),
        "error_contains": given["error"],
    }
    return cast(FilterOptions, {name: value for name, value in wanted.items() if value not in (None, [])})


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text, option)
