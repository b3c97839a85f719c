"""`longrun files` and `longrun download`: files of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from longrun_client.cli_ids import TaskId
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table
from longrun_client.models_files import TaskFile
from longrun_client.tables import new_table
from longrun_client.text import local_time, printable

app = typer.Typer()


OfInput = Annotated[bool, typer.Option("--input", help="Of the files that the task was submitted with.")]


@app.command()
def files(context: typer.Context, task_id: TaskId, *, of_input: OfInput = False, as_json: Json = False) -> None:
    """List the result files of a task, or its input files."""
    with connect(context) as client:
        found = client.input_files(task_id) if of_input else client.files(task_id)
    print_lines(found) if as_json else print_table(file_table(found))


@app.command()
def download(
    context: typer.Context,
    task_id: TaskId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="`longrun files` lists the names.")],
    *,
    of_input: OfInput = False,
    to: Annotated[Path | None, typer.Option(help="File or folder; by default, the current folder.")] = None,
) -> None:
    """Download a result file of a task, or an input file. Prints where it is."""
    with connect(context) as client:
        print((client.download_input if of_input else client.download)(task_id, name, to))


def file_table(files: Iterable[TaskFile]) -> Table:
    """One row per file."""
    table = new_table("NAME", "BYTES", "TYPE", "STORED")
    for file in files:
        table.add_row(printable(file.name), f"{file.size:,}", printable(file.media_type), local_time(file.created_at))
    return table
