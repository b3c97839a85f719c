"""`longrun watch`: the states and the progress of all tasks that match, as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from longrun_client.cli_completion import task_ids
from longrun_client.cli_filters import OfSchedule, Queues, TaskTypes
from longrun_client.cli_ids import all_whole
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, stderr, stdout
from longrun_client.models import Status
from longrun_client.models_watch import TaskEvent
from longrun_client.text import task_event_line

INTERRUPTED: Final = 130

app = typer.Typer()


@app.command(epilog="Example: longrun watch --queue scrape --status FAILED")
def watch(
    context: typer.Context,
    task_id: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]…", help="Only these tasks; all without.", callback=all_whole, autocompletion=task_ids
        ),
    ] = None,
    *,
    event: Annotated[list[str] | None, typer.Option(help="Only `state` or only `progress`.")] = None,
    status: Annotated[
        list[Status] | None, typer.Option(case_sensitive=False, help="Only with this status, or any of several.")
    ] = None,
    task_type: TaskTypes = None,
    queue: Queues = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag, or with all of several.")] = None,
    schedule: OfSchedule = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Start after this `cursor` of an event, not now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch tasks: a line for each change of a status and for progress, until Ctrl-C."""
    with connect(context) as client:
        events = client.watch(
            after=after,
            event=event,
            status=status,
            task_id=task_id,
            task_type=task_type,
            queue=queue,
            tag=tag,
            owner=owner,
            schedule_id=None if schedule is None else client.schedule(schedule).schedule_id,
        )
        try:
            print_lines(events) if as_json else _print(events)
        except KeyboardInterrupt:
            stderr().print("stopped watching: the tasks continue")
            raise typer.Exit(INTERRUPTED) from None


def _print(events: Iterator[TaskEvent]) -> None:
    console = stdout()
    for event in events:
        console.print(task_event_line(event), soft_wrap=True)
