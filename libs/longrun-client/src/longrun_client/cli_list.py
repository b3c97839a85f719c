"""`longrun list`, `longrun count` and `longrun export`: the tasks that match every option."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client import tables
from longrun_client.cli_completion import task_ids
from longrun_client.cli_filters import Filter, with_filter
from longrun_client.cli_ids import whole
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table
from longrun_client.inputs import InputError

app = typer.Typer()

Fields = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these fields, separated by commas, in the JSON.")
]


@app.command("list", epilog="Example: longrun list --status FAILED --finished-after 2026-11-24 --error timeout")
@with_filter
def list_tasks(
    context: typer.Context,
    *,
    selected: Filter,
    sort: Annotated[
        str, typer.Option(help="created or finished; with a minus in front, the latest first.")
    ] = "-created",
    id_prefix: Annotated[
        str | None, typer.Option(metavar="ID", help="Only tasks whose id begins so.", autocompletion=task_ids)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of tasks.")] = 20,
    fields: Fields = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first: those that match every option. Times without an offset are local."""
    with connect(context) as client:
        wanted = selected.of(client)
        sorting = None if sort == "-created" else sort
        tasks = client.list(**wanted, id_prefix=id_prefix, sort=sorting, limit=limit, fields=_names(fields))
        print_lines(tasks) if as_json else print_table(tables.task_table(tasks))


@app.command(epilog="Example: longrun count --created-after 2026-11-24")
@with_filter
def count(
    context: typer.Context,
    *,
    selected: Filter,
    as_json: Json = False,
) -> None:
    """Count the tasks that match every option, by status. `+` means that there may be more."""
    with connect(context) as client:
        found = client.count(**selected.of(client))
    print_lines([found]) if as_json else print_table(tables.count_table(found))


@app.command(epilog="Example: longrun export --finished-after 2026-11-24 > tasks.ndjson")
@with_filter
def export(
    context: typer.Context,
    *,
    selected: Filter,
    sort: Annotated[str, typer.Option(help="created, or -created for the latest first.")] = "created",
    fields: Fields = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue behind this task; with --events, behind this `seq`.")
    ] = None,
    events: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Export the events of this task instead of tasks.",
            callback=whole,
            autocompletion=task_ids,
        ),
    ] = None,
) -> None:
    """Print tasks with their inputs and results as JSON, one per line, oldest first: all that match every option."""
    with connect(context) as client:
        if events is not None:
            print_lines(client.events(events, _seq(after)))
        else:
            behind = whole(context, after)
            print_lines(client.export(**selected.of(client), sort=sort, after=behind, fields=_names(fields)))


def _names(fields: str | None) -> list[str] | None:
    return None if fields is None else fields.split(",")


def _seq(after: str | None) -> int:
    if after is not None and not (after.isascii() and after.isdigit()):
        raise InputError(f"--after: with --events it is the `seq` of an event, not {after!r}")
    return int(after or 0)
