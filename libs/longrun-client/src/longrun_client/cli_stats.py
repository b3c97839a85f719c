"""`longrun stats`: what happened to tasks in the last hour, day or week."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, print_table
from longrun_client.models_stats import Durations, Figures, Last, Stats
from longrun_client.tables import new_table
from longrun_client.text import duration, local_time

app = typer.Typer()


@app.command(epilog="Example: longrun stats --last day --queue mail")
def stats(
    context: typer.Context,
    last: Annotated[Last, typer.Option(help="How far back: an hour in minutes, a day and a week in hours.")] = "hour",
    queue: Annotated[str | None, typer.Option(help="Only tasks of this queue.")] = None,
    as_json: Json = False,
) -> None:
    """Show how many tasks were submitted, ended and were retried, and how long 95 % of them waited and ran at most."""
    with connect(context) as client:
        found = client.stats(last, queue=queue)
    print_lines([found]) if as_json else print_table(_table(found))


def _table(found: Stats) -> Table:
    table = new_table("FROM", "SUBMITTED", "SUCCEEDED", "FAILED", "CANCELLED", "RETRIED", "WAITED", "RAN")
    for each in found.items:
        table.add_row(local_time(each.at), *_numbers(each))
    table.add_row("total", *_numbers(found.total))
    return table


def _numbers(figures: Figures) -> list[str]:
    counts = (figures.submitted, figures.succeeded, figures.failed, figures.cancelled, figures.retried)
    return [*(f"{count:,}" for count in counts), _at_most(figures.wait_s), _at_most(figures.run_s)]


def _at_most(durations: Durations | None) -> str:
    return duration(durations.p95) if durations else ""
