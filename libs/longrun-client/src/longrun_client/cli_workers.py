"""`longrun workers` and `longrun task-types`."""

from __future__ import annotations

import typer

from longrun_client import tables
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table

app = typer.Typer()


@app.command()
def workers(context: typer.Context, as_json: Json = False) -> None:
    """List the live workers and the tasks that they run."""
    with connect(context) as client:
        alive = client.workers()
    print_lines(alive) if as_json else print_table(tables.worker_table(alive))


@app.command()
def task_types(context: typer.Context, as_json: Json = False) -> None:
    """List the task types that can be submitted."""
    with connect(context) as client:
        known = client.task_types()
    print_lines(known) if as_json else print_table(tables.task_type_table(known))
