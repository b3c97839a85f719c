"""Options that many commands share, and the connection to the server."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client.client import Longrun
from longrun_client.inputs import InputError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, one value per line.")]
Input = Annotated[str | None, typer.Option("--input", metavar="JSON", help="The input as JSON, @FILE, or - for stdin.")]
FairnessKey = Annotated[str | None, typer.Option(help="Keys take turns in a queue; e.g. the id of a tenant.")]
ConcurrencyKey = Annotated[
    str | None, typer.Option(help="Tasks with the same key run one at a time, or as many as `longrun limits` shows.")
]
RateKey = Annotated[
    str | None, typer.Option(help="Tasks with the same key start only as often as `longrun rate-limits` shows.")
]
DedupeKey = Annotated[
    str | None, typer.Option(help="While a task with this key is live, print that one and submit no other.")
]
Owner = Annotated[str | None, typer.Option(help="Whose it is; an operator may submit for any owner.")]
IdempotencyKey = Annotated[
    str | None, typer.Option(help="Key of this one request: a repeated command with it submits nothing more.")
]


def connect(context: typer.Context) -> Longrun:
    """A client of the server that the command line selects."""
    return Longrun(context.obj)


def stands_alone(context: typer.Context, as_json: bool) -> bool:
    """Whether the group was called without a command; raises InputError if --json precedes a command."""
    command = context.invoked_subcommand
    if command is not None and as_json:
        raise InputError(f"--json: put it after {command}: longrun {context.info_name} {command} … --json")
    return command is None
