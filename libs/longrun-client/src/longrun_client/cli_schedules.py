"""`longrun schedules …`: create and manage schedules."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from longrun_client import cli_completion, tables
from longrun_client.cli_input import task_input
from longrun_client.cli_options import IdempotencyKey, Input, Json, TaskType, connect
from longrun_client.cli_task_options import with_task_options
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.inputs import InputError
from longrun_client.models_schedules import Schedule
from longrun_client.text import local_time, print_json

LATEST_TASKS = 10


class Overlap(StrEnum):
    """What a tick does while a task of an earlier tick has not ended."""

    SKIP = "skip"
    ALLOW_ALL = "allow_all"
    CANCEL_OTHER = "cancel_other"


class MissedRuns(StrEnum):
    """What happens about ticks that passed while Longrun was down."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"


app = typer.Typer(help="Create, list, change, pause, run and delete schedules.", no_args_is_help=True)

Key = Annotated[
    str,
    typer.Argument(metavar="SCHEDULE", help="The schedule's name or id.", autocompletion=cli_completion.schedules),
]
Timezone = Annotated[str | None, typer.Option(help="IANA time zone of the expression, such as Europe/Berlin.")]
OverlapOption = Annotated[
    Overlap | None, typer.Option(help="What a tick does while a task of an earlier tick has not ended.")
]
MissedOption = Annotated[
    MissedRuns | None, typer.Option(help="What to do about ticks that passed while Longrun was down.")
]
Most = Annotated[int | None, typer.Option(help="Maximum number of missed ticks that run_all makes up.")]
Deadline = Annotated[float | None, typer.Option(help="Seconds of delay after which a tick is missed.")]


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog='Example: longrun schedules create nightly "30 2 * * *" web_scrape --url https://example.org',
)
@with_task_options
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.")],
    cron: Annotated[str, typer.Argument(metavar="CRON", help='Such as "30 2 * * MON-FRI" or @hourly.')],
    task_type: TaskType,
    *,
    input_json: Input = None,
    timezone: Timezone = None,
    overlap: OverlapOption = None,
    missed_runs: MissedOption = None,
    max_missed_runs: Most = None,
    start_deadline: Deadline = None,
    paused: Annotated[bool, typer.Option("--paused", help="Create it paused.")] = False,
    owner: Annotated[str | None, typer.Option(help="Whose it is; an operator may create it for any owner.")] = None,
    options: dict[str, Any],
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Create a schedule. Give the task's input as --NAME VALUE for each field, or with --input."""
    if misplaced := next((word for word in (name, cron, task_type) if word.startswith("-")), None):
        raise InputError(f"{misplaced}: NAME, CRON and TASK_TYPE come first: longrun schedules create NAME CRON …")
    with connect(context) as client:
        task = {"task_type": task_type, **options, "input": task_input(client, task_type, context.args, input_json)}
        ticks = _options(timezone, overlap, missed_runs, max_missed_runs, start_deadline)
        ticks |= ({"paused": True} if paused else {}) | _given(owner=owner)
        made = client.create_schedule(name, cron, task, idempotency_key=idempotency_key, **ticks)
    _say(made, as_json)


@app.command("list")
def list_schedules(
    context: typer.Context,
    *,
    owner: Annotated[str | None, typer.Option(help="Only schedules of this owner.")] = None,
    as_json: Json = False,
) -> None:
    """List schedules, newest first."""
    with connect(context) as client:
        found = client.schedules(owner=owner)
        print_lines(found) if as_json else print_table(tables.schedule_table(found))


@app.command()
def show(context: typer.Context, key: Key, as_json: Json = False) -> None:
    """Show a schedule and its latest tasks."""
    with connect(context) as client:
        schedule = client.schedule(key)
        if as_json:
            print_lines([schedule])
            return
        tasks = list(client.list(schedule_id=schedule.schedule_id, limit=LATEST_TASKS))
    console = stdout()
    console.print(tables.schedule_sheet(schedule))
    console.print(Text("\ntask", "dim"))
    print_json(console, schedule.task)
    if tasks:
        console.print(Text("\nlatest tasks", "dim"))
        print_table(tables.task_table(tasks))


@app.command()
@with_task_options
def change(
    context: typer.Context,
    key: Key,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    cron: Annotated[str | None, typer.Option(help="New cron expression.")] = None,
    input_json: Input = None,
    timezone: Timezone = None,
    overlap: OverlapOption = None,
    missed_runs: MissedOption = None,
    max_missed_runs: Most = None,
    start_deadline: Deadline = None,
    task_type: Annotated[
        str | None,
        typer.Option(help="New task type; give its input with it.", autocompletion=cli_completion.task_types),
    ] = None,
    options: dict[str, Any],
    as_json: Json = False,
) -> None:
    """Change the given fields of a schedule."""
    with connect(context) as client:
        changes = _given(name=name, cron=cron) | _options(
            timezone, overlap, missed_runs, max_missed_runs, start_deadline
        )
        task = _given(task_type=task_type) | options
        if input_json is not None:
            task["input"] = task_input(client, "", [], input_json)
        if task:
            changes["task"] = task
        if not changes:
            raise InputError("nothing to change: give --cron, --timezone, … (longrun schedules change --help)")
        _say(client.change_schedule(key, **changes), as_json)


@app.command()
def pause(context: typer.Context, key: Key, *, idempotency_key: IdempotencyKey = None, as_json: Json = False) -> None:
    """Pause a schedule: it submits no tasks until it is resumed."""
    with connect(context) as client:
        _say(client.pause_schedule(key, idempotency_key=idempotency_key), as_json)


@app.command()
def resume(context: typer.Context, key: Key, *, idempotency_key: IdempotencyKey = None, as_json: Json = False) -> None:
    """Resume a paused schedule from its next tick on."""
    with connect(context) as client:
        _say(client.resume_schedule(key, idempotency_key=idempotency_key), as_json)


@app.command()
def run(context: typer.Context, key: Key, *, idempotency_key: IdempotencyKey = None, as_json: Json = False) -> None:
    """Submit a schedule's task now, regardless of its ticks. Prints the id of the task."""
    with connect(context) as client:
        task = client.run_schedule(key, idempotency_key=idempotency_key)
    print_lines([task]) if as_json else print(task.task_id)


@app.command()
def delete(context: typer.Context, key: Key, as_json: Json = False) -> None:
    """Delete a schedule; its tasks stay."""
    with connect(context) as client:
        gone = client.delete_schedule(key)
    print_lines([gone]) if as_json else stderr().print(f"{gone.name} is deleted")


def _options(
    timezone: str | None,
    overlap: Overlap | None,
    missed_runs: MissedRuns | None,
    max_missed_runs: int | None,
    start_deadline: float | None,
) -> Any:
    return _given(
        timezone=timezone,
        overlap=overlap,
        missed_runs=missed_runs,
        max_missed_runs=max_missed_runs,
        start_deadline_s=start_deadline,
    )


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _say(schedule: Schedule, as_json: bool) -> None:
    if as_json:
        print_lines([schedule])
        return
    stdout().print(
        f"{schedule.name}: paused"
        if schedule.next_at is None
        else f"{schedule.name}: next at {local_time(schedule.next_at)}",
        soft_wrap=True,
    )
