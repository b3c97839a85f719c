"""`longrun why ID`: why a task does not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer
from rich.text import Text

from longrun_client.cli_ids import TaskId
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, stdout
from longrun_client.models_why import EstimatedStart, Why
from longrun_client.tables import sheet
from longrun_client.text import age, local_time, printable

POSITION_MAX: Final = 10_000
"""The server counts the tasks before a task up to this number."""

app = typer.Typer()


@app.command()
def why(
    context: typer.Context,
    task_id: TaskId,
    as_json: Json = False,
) -> None:
    """Say why a task does not run now, since when, and what would let it run."""
    with connect(context) as client:
        found = client.why(task_id)
    print_lines([found]) if as_json else stdout().print(sheet(_fields(found)))


def _fields(why: Why) -> Iterator[tuple[str, str | Text]]:
    yield "status", printable(why.status)
    yield "cause", Text(printable(why.cause), "bold")
    yield "", printable(why.detail)
    yield "since", f"{local_time(why.since)}, {age(why.since)} ago" if why.since else ""
    yield "freed by", printable(why.freed_by or "")
    yield "blocking", printable(", ".join(why.blocking))
    yield "position", _position(why.position)
    yield "start", _start(why.estimated_start)


def _position(position: int | None) -> str:
    if position is None:
        return ""
    return f"more than {POSITION_MAX:,}" if position > POSITION_MAX else f"{position:,}"


def _start(estimate: EstimatedStart | None) -> str:
    return f"about {local_time(estimate.at)}: {printable(estimate.detail)}" if estimate else ""
