"""`longrun top`: queues, workers and running tasks, again and again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from longrun_client import tables, tables_queues
from longrun_client.cli_options import connect
from longrun_client.cli_tasks import INTERRUPTED
from longrun_client.client import Longrun
from longrun_client.console import print_table, stdout
from longrun_client.errors import LongrunError, ProblemError
from longrun_client.models import Status, Task
from longrun_client.text import amount, printable, run_time, status_text

SHOWN: Final = ["task_id", "task_type", "status", "queue", "attempt", "progress", "created_at", "started_at"]
ID_WIDTH: Final = 36
FORBIDDEN: Final = 403
SERVER_ERROR: Final = 500

app = typer.Typer()


@app.command()
def top(
    context: typer.Context,
    *,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of running tasks.")] = 20,
    once: Annotated[bool, typer.Option("--once", help="Look once; so it does if the output is no terminal.")] = False,
) -> None:
    """Show queues, workers and the oldest running tasks, until Ctrl-C. Callers with an owner see their tasks."""
    with connect(context) as client:
        if once or not stdout().is_terminal:
            for number, part in enumerate(_look(client, limit)):
                if number:
                    stdout().print()
                print_table(part) if isinstance(part, Table) else stdout().print(part, soft_wrap=True)
            return
        try:
            _keep_looking(client, limit, interval)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _keep_looking(client: Longrun, limit: int, interval: float) -> NoReturn:
    """Show it on the whole terminal; an outage is said below what was seen last."""
    seen = list(_look(client, limit))
    with Live(console=stdout(), screen=True, auto_refresh=False) as live:
        said: list[RenderableType] = []
        while True:
            live.update(Group(*said, *(line for part in seen for line in (part, ""))), refresh=True)
            time.sleep(interval)
            try:
                seen, said = list(_look(client, limit)), []
            except LongrunError as error:
                if isinstance(error, ProblemError) and error.status < SERVER_ERROR:
                    raise
                said = [Text(printable(str(error)), "red"), ""]


def _look(client: Longrun, limit: int) -> Iterator[Table | Text]:
    """The numbers of tasks; tables of queues and workers, if the caller may see them; a table of running tasks."""
    counts = client.count().counts.items()
    numbers = (Text.assemble(f"{each.count:,}{'' if each.exact else '+'} ", status_text(name)) for name, each in counts)
    yield Text("   ").join(numbers)
    try:
        yield tables_queues.queue_table(client.queues())
        yield _narrowed(tables.worker_table(client.workers(), with_tasks=False))
    except ProblemError as error:
        if error.status != FORBIDDEN:
            raise
        yield Text("queues and workers are shown to operators", "dim")
    yield _running_table(client.list(status=Status.RUNNING, sort="created", limit=limit, fields=SHOWN))


def _running_table(tasks: Iterable[Task]) -> Table:
    table = tables.new_table("RUNNING", "TYPE", "QUEUE", "ATTEMPT", "FOR", "PROGRESS")
    for task in tasks:
        table.add_row(
            task.task_id,
            printable(task.task_type),
            printable(task.queue or ""),
            str(task.attempt),
            run_time(task),
            Text(amount(task.progress), no_wrap=True),
        )
    return _narrowed(table)


def _narrowed(table: Table) -> Table:
    """The table, of which a narrow terminal cuts everything but the ids."""
    table.columns[0].min_width = ID_WIDTH
    return table
