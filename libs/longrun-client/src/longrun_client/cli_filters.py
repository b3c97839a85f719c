"""The options that select tasks, which several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
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


def _options(
    *,
    status: Annotated[
        list[Status] | None,
        typer.Option(case_sensitive=False, help="Only with this status, or any of several."),
    ] = None,
    task_type: Annotated[list[str] | None, typer.Option(help="Only of this task type, or any of several.")] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Only of this queue, or any of several.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag, or with all of several.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Only of this schedule (name or id).")] = None,
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


OPTIONS: Final = inspect.signature(_options, eval_str=True).parameters


@dataclass(frozen=True, slots=True)
class Filter:
    """The values of the options that select tasks, by the names of `OPTIONS`."""

    values: Mapping[str, Any]

    def of(self, client: Longrun) -> FilterOptions:
        """The conditions that are given; asks the server for the id of a schedule."""
        schedule = self.values["schedule"]
        wanted: dict[str, Any] = {
            **{name: self.values[name] for name in OPTIONS if name not in {"schedule", "error"}},
            "schedule_id": None if schedule is None else client.schedule(schedule).schedule_id,
            "metadata": _object("--metadata", self.values["metadata"]),
            "input": _object("--input", self.values["input"]),
            "error_contains": self.values["error"],
        }
        return cast(FilterOptions, {name: value for name, value in wanted.items() if value not in (None, [])})


def with_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command of Typer the options that select tasks, in the place of its parameter `selected`, a `Filter`."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [
        each for parameter in own for each in (OPTIONS.values() if parameter.name == "selected" else [parameter])
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        selected = Filter({name: given.pop(name) for name in OPTIONS})
        command(**given, selected=selected)

    # Typer reads both
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text, option)
