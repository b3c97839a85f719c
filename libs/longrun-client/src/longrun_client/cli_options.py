"""What the commands have in common: their server, and options that many of them take."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client.client import Longrun
from longrun_client.inputs import InputError

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, one value a line, for scripts.")]
Input = Annotated[str | None, typer.Option("--input", metavar="JSON", help="The input, as JSON, @FILE or - for stdin.")]
FairnessKey = Annotated[str | None, typer.Option(help="Whose turn it takes: an owner or tenant.")]
ConcurrencyKey = Annotated[
    str | None, typer.Option(help="Tasks of one key run one at a time, or as many as `longrun limits` says.")
]


def connect(context: typer.Context) -> Longrun:
    """A client of the server that the command line names."""
    return Longrun(context.obj)


def stands_alone(context: typer.Context, as_json: bool) -> bool:
    """Whether no command of the group was named; InputError if --json stands before the one that was."""
    command = context.invoked_subcommand
    if command is not None and as_json:
        raise InputError(f"--json: it comes after {command}: longrun {context.info_name} {command} … --json")
    return command is None
