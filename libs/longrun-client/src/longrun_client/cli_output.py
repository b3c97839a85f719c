"""`longrun output`: what a task emits."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from longrun_client.cli_ids import TaskId
from longrun_client.cli_options import Json, connect
from longrun_client.cli_tasks import After, Follow
from longrun_client.console import print_lines, stdout
from longrun_client.text import piece_line, piece_text, printable

app = typer.Typer()

Raw = Annotated[
    bool, typer.Option("--raw", help="Print the values alone: strings as they are, others as a line of JSON each.")
]


@app.command()
def output(
    context: typer.Context,
    task_id: TaskId,
    *,
    after: After = 0,
    follow: Follow = False,
    raw: Raw = False,
    as_json: Json = False,
) -> None:
    """Print the output of a task: the pieces that it has emitted."""
    with connect(context) as client:
        pieces = client.output(task_id, after, follow=follow)
        if as_json:
            print_lines(pieces)
        elif raw:
            for piece in pieces:
                _write(piece_text(piece.data), end="" if isinstance(piece.data, str) else "\n")
        else:
            console = stdout()
            for piece in pieces:
                console.print(piece_line(piece), soft_wrap=True)


def _write(text: str, end: str) -> None:
    print(printable(text) if sys.stdout.isatty() else text, end=end, flush=True)
