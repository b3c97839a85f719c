"""`longrun list`: the tasks that match every option."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import typer

from longrun_client import tables
from longrun_client.cli_options import Json, connect
from longrun_client.console import print_lines, stdout
from longrun_client.inputs import from_json
from longrun_client.models import Status

app = typer.Typer()


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-11-24 or 2026-11-24T12:00:00+01:00") from None
    return time if time.tzinfo else time.astimezone()


TIME: Final[dict[str, Any]] = {"metavar": "TIME", "parser": _time}


@app.command("list", epilog="Example: longrun list --status FAILED --finished-after 2026-11-24 --error timeout")
def list_tasks(
    context: typer.Context,
    *,
    status: Annotated[
        list[Status] | None, typer.Option(case_sensitive=False, help="Only with this status, or any of several.")
    ] = None,
    task_type: Annotated[list[str] | None, typer.Option(help="Only of this task type, or any of several.")] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Only of this queue, or any of several.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag, or with all of several.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Only of this schedule (name or id).")] = None,
    created_after: Annotated[datetime | None, typer.Option(help="Created at this time or later.", **TIME)] = None,
    created_before: Annotated[datetime | None, typer.Option(help="Created before this time.", **TIME)] = None,
    finished_after: Annotated[datetime | None, typer.Option(help="Ended at this time or later.", **TIME)] = None,
    finished_before: Annotated[datetime | None, typer.Option(help="Ended before this time.", **TIME)] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="Metadata contains this, such as '{\"customer\": 42}'.")
    ] = None,
    input_json: Annotated[str | None, typer.Option("--input", metavar="JSON", help="Input contains this.")] = None,
    error: Annotated[str | None, typer.Option(metavar="TEXT", help="Type or message of the error has this.")] = None,
    sort: Annotated[
        str, typer.Option(help="created or finished; with a minus in front, the latest first.")
    ] = "-created",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of tasks.")] = 20,
    as_json: Json = False,
) -> None:
    """List tasks, newest first: those that match every option. Times without an offset are local."""
    with connect(context) as client:
        tasks = client.list(
            limit=limit,
            status=status,
            task_type=task_type,
            queue=queue,
            tag=tag,
            schedule_id=None if schedule is None else client.schedule(schedule).schedule_id,
            created_after=created_after,
            created_before=created_before,
            finished_after=finished_after,
            finished_before=finished_before,
            metadata=_object("--metadata", metadata),
            input=_object("--input", input_json),
            error_contains=error,
            sort=None if sort == "-created" else sort,
        )
        print_lines(tasks) if as_json else stdout().print(tables.task_table(tasks))


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    return None if text is None else from_json(text, option)
