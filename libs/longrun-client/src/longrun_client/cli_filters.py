"""The options that select tasks, which several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, cast

import typer

from longrun_client import cli_completion
from longrun_client.cli_groups import TIME, with_group
from longrun_client.client import Longrun
from longrun_client.inputs import from_json
from longrun_client.models import Status
from longrun_client.options import FilterOptions

TaskTypes = Annotated[
    list[str] | None,
    typer.Option(help="Only of this task type, or any of several.", autocompletion=cli_completion.task_types),
]
Queues = Annotated[
    list[str] | None,
    typer.Option(help="Only of this queue, or any of several.", autocompletion=cli_completion.queues),
]
OfSchedule = Annotated[
    str | None,
    typer.Option(help="Only of this schedule (name or id).", autocompletion=cli_completion.schedules),
]


def _options(
    *,
    status: Annotated[
        list[Status] | None,
        typer.Option(case_sensitive=False, help="Only with this status, or any of several."),
    ] = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag, or with all of several.")] = None,
    schedule: OfSchedule = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    created_after: Annotated[datetime | None, typer.Option(help="Created at this time or later.", **TIME)] = None,
    created_before: Annotated[datetime | None, typer.Option(help="Created before this time.", **TIME)] = None,
    finished_after: Annotated[datetime | None, typer.Option(help="Ended at this time or later.", **TIME)] = None,
    finished_before: Annotated[datetime | None, typer.Option(help="Ended before this time.", **TIME)] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="Metadata contains this, such as '{\"customer\": 42}'.")
    ] = None,
    input: Annotated[str | None, typer.Option(metavar="JSON", help="Input contains this.")] = None,
    error: Annotated[str | None, typer.Option(metavar="TEXT", help="Type or message of the error has this.")] = None,
) -> None:
    """The options that select tasks: only their declaration counts."""


@dataclass(frozen=True, slots=True)
class Filter:
    """The values of the options that select tasks, by their names."""

    values: Mapping[str, Any]

    def of(self, client: Longrun) -> FilterOptions:
        """The conditions that are given; asks the server for the id of a schedule."""
        schedule = self.values["schedule"]
        wanted: dict[str, Any] = {
            **{name: value for name, value in self.values.items() if name not in {"schedule", "error"}},
            "schedule_id": None if schedule is None else client.schedule(schedule).schedule_id,
            "metadata": _object("--metadata", self.values["metadata"]),
            "input": _object("--input", self.values["input"]),
            "error_contains": self.values["error"],
        }
        return cast(FilterOptions, {name: value for name, value in wanted.items() if value not in (None, [])})


with_filter: Final = with_group("selected", _options, Filter)
"""Give a command the options that select tasks, in the place of its parameter `selected`, a `Filter`."""


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text, option)
