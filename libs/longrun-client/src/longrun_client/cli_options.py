"""Options that many commands share, and the connection to the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longrun_client import cli_completion
from longrun_client.client import Longrun
from longrun_client.inputs import InputError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, one value per line.")]
Input = Annotated[str | None, typer.Option("--input", metavar="JSON", help="The input as JSON, @FILE, or - for stdin.")]
TaskType = Annotated[
    str,
    typer.Argument(
        metavar="TASK_TYPE", help="`longrun task-types` lists them.", autocompletion=cli_completion.task_types
    ),
]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="Key of this one request: a repeated command with it does nothing more.")
]

ValidateOnly = Annotated[
    bool, typer.Option("--validate-only", help="Only check it, and print what would be submitted.")
]

OfOwner = Annotated[str | None, typer.Option("--owner", help="Whose key it is; an operator may name any owner.")]

File = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME=]PATH", help="Input file, under its own name or NAME; may be repeated."),
]


def input_files(given: list[str] | None) -> dict[str, Path]:
    """The paths of --file, by the names that the task gives the files. Raises InputError for one that is no file."""
    files: dict[str, Path] = {}
    for each in given or ():
        name, separator, path = each.partition("=")
        if not separator:
            name, path = Path(each).name, each
        if name in files:
            raise InputError(f"--file {each}: there are two files of the name {name!r}: give it as NAME=PATH")
        files[name] = Path(path)
        if not files[name].is_file():
            raise InputError(f"--file {each}: there is no file {path}")
    return files


def connect(context: typer.Context) -> Longrun:
    """A client of the server that the command line selects."""
    return Longrun(context.obj)


def stands_alone(context: typer.Context, as_json: bool) -> bool:
    """Whether the group was called without a command; raises InputError if --json precedes a command."""
    command = context.invoked_subcommand
    if command is not None and as_json:
        raise InputError(f"--json: put it after {command}: longrun {context.info_name} {command} … --json")
    return command is None
