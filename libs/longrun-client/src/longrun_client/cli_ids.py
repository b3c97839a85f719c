"""Ids of tasks as arguments and options: the beginning of an id is enough, if no other task's id begins so."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from longrun_client import cli_completion
from longrun_client.cli_options import connect
from longrun_client.client import Longrun
from longrun_client.inputs import InputError

BEGINNING: Final = re.compile(r"[0-9a-f-]{4,35}", re.IGNORECASE)
DIGITS: Final = 32
"""Hexadecimal digits of a whole id."""


def whole(context: typer.Context, given: str | None) -> str | None:
    """The id in full, if it is the beginning of one. Raises InputError if no task's id begins so, or several do."""
    ids = all_whole(context, None if given is None else [given])
    return ids[0] if ids else None


def all_whole(context: typer.Context, given: list[str] | None) -> list[str] | None:
    """The ids in full, as far as they are beginnings of ids. Raises InputError as `whole` does."""
    if context.resilient_parsing or not any(map(_is_beginning, given or ())):
        return given
    with connect(context) as client:
        return [_whole(client, text) if _is_beginning(text) else text for text in given or ()]


TaskId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of the task, or its beginning.",
        callback=whole,
        autocompletion=cli_completion.task_ids,
    ),
]
TaskIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ID…",
        help="Ids of tasks, or their beginnings.",
        callback=all_whole,
        autocompletion=cli_completion.task_ids,
    ),
]


def _is_beginning(text: str) -> bool:
    return BEGINNING.fullmatch(text) is not None and len(text.replace("-", "")) < DIGITS


def _whole(client: Longrun, beginning: str) -> str:
    found = [task.task_id for task in client.list(id_prefix=beginning, limit=2, fields=["task_id"])]
    if not found:
        raise InputError(f"{beginning}: no task has an id that begins so")
    if len(found) > 1:
        raise InputError(f"{beginning}: several tasks have ids that begin so, such as {found[0]} and {found[1]}")
    return found[0]
