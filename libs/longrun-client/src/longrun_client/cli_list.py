"""`longrun list`, `longrun count` and `longrun export`: the tasks that match every option."""

from __future__ import annotations

from typing import Annotated

import typer

from longrun_client import tables
from longrun_client.cli_filters import Filter, with_filter
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table

app = typer.Typer()


@app.command("list", epilog="Example: longrun list --status FAILED --finished-after 2026-11-24 --error timeout")
@with_filter
def list_tasks(
    context: typer.Context,
    *,
    selected: Filter,
    sort: Annotated[
        str, typer.Option(help="created or finished; with a minus in front, the latest first.")
    ] = "-created",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of tasks.")] = 20,
    fields: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these fields, separated by commas; for --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first: those that match every option. Times without an offset are local."""
    with connect(context) as client:
        wanted = selected.of(client)
        names = None if fields is None else fields.split(",")
        tasks = client.list(**wanted, sort=None if sort == "-created" else sort, limit=limit, fields=names)
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
    after: Annotated[str | None, typer.Option(metavar="ID", help="Continue behind this task.")] = None,
    events: Annotated[
        str | None, typer.Option(metavar="ID", help="Export the events of this task instead of tasks.")
    ] = None,
) -> None:
    """Print tasks with their inputs and results as JSON, one per line, oldest first: all that match every option."""
    with connect(context) as client:
        if events is not None:
            print_lines(client.events(events))
        else:
            print_lines(client.export(**selected.of(client), sort=sort, after=after))
