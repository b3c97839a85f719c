"""`longrun submit`, `show`, `logs`, `attempts` and `follow`; and what `cancel` and `retry` do with one task."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Annotated, Final, NoReturn

import typer
from rich.text import Text

from longrun_client import tables
from longrun_client.cli_input import task_input
from longrun_client.cli_options import (
    ConcurrencyKey,
    DedupeKey,
    FairnessKey,
    File,
    IdempotencyKey,
    Input,
    Json,
    RateKey,
    connect,
    input_files,
)
from longrun_client.client import Longrun
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.follow import watch
from longrun_client.inputs import InputError
from longrun_client.models import LogLine, Status
from longrun_client.server import given_url, without_password
from longrun_client.text import error_text, log_line, outcome, print_json, printable, status_text

INTERRUPTED: Final = 130
ENDED: Final = {Status.SUCCESS: 0, Status.FAILED: 1, Status.CANCELLED: 3}
STOP_POLL_S: Final = 0.2

app = typer.Typer()

TaskId = Annotated[str, typer.Argument(metavar="ID", help="Id of the task.")]
Follow = Annotated[bool, typer.Option("--follow", help="Show the events of the task until it has ended.")]


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: longrun submit web_scrape --url https://example.org --follow",
)
def submit(
    context: typer.Context,
    task_type: Annotated[str, typer.Argument(metavar="TASK_TYPE", help="`longrun task-types` lists them.")],
    *,
    input_json: Input = None,
    queue: Annotated[str | None, typer.Option(help="Queue of the task.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 9; 9 is the most urgent.")] = None,
    fairness_key: FairnessKey = None,
    delay: Annotated[float | None, typer.Option(help="Earliest start, in seconds from now.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Maximum number of tries.")] = None,
    concurrency_key: ConcurrencyKey = None,
    rate_key: RateKey = None,
    dedupe_key: DedupeKey = None,
    idempotency_key: IdempotencyKey = None,
    tag: Annotated[list[str] | None, typer.Option(help="Label of the task; may be repeated.")] = None,
    file: File = None,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Submit a task. Give its input as --NAME VALUE for each field, or with --input. Prints the id of the task."""
    if task_type.startswith("-"):
        raise InputError(f"{task_type}: the task type comes first: longrun submit TASK_TYPE {task_type} …")
    with connect(context) as client:
        task = client.submit(
            task_type,
            task_input(client, task_type, context.args, input_json),
            queue=queue,
            priority=priority,
            fairness_key=fairness_key,
            delay_s=delay,
            max_attempts=max_attempts,
            concurrency_key=concurrency_key,
            rate_key=rate_key,
            dedupe_key=dedupe_key,
            idempotency_key=idempotency_key,
            tags=tag,
            files=input_files(file),
        )
        for warning in task.warnings:
            stderr().print(f"warning: {printable(warning.detail)}", soft_wrap=True)
        if as_json:
            print_lines([task])
        said = "already live" if task.deduplicated else "accepted"
        if follow:
            follow_task(client, task.task_id, as_json, said=f"{said} as {task.task_id}")
        elif not as_json:
            print(task.task_id)
            stderr().print(f"{said}, follow it with: {_command(client, 'follow', task.task_id)}", soft_wrap=True)


@app.command()
def show(context: typer.Context, task_id: TaskId, as_json: Json = False) -> None:
    """Show a task."""
    with connect(context) as client:
        task = client.get(task_id)
    if as_json:
        print_lines([task])
        return
    console = stdout()
    console.print(tables.task_sheet(task))
    for label, value in (("input", task.input), ("result", task.result)):
        if value is not None:
            console.print(Text(f"\n{label}", "dim"))
            print_json(console, value)


@app.command()
def logs(context: typer.Context, task_id: TaskId, follow: Follow = False, as_json: Json = False) -> None:
    """Print the log of a task."""
    with connect(context) as client:
        lines = _live_log(client, task_id) if follow else client.logs(task_id)
        if as_json:
            print_lines(lines)
            return
        console = stdout()
        for line in lines:
            console.print(log_line(line), soft_wrap=True)


@app.command()
def attempts(context: typer.Context, task_id: TaskId, as_json: Json = False) -> None:
    """List the attempts of a task: when and where each ran, its outcome, and why it failed."""
    with connect(context) as client:
        made = list(client.attempts(task_id))
    if as_json:
        print_lines(made)
        return
    console = stdout()
    print_table(tables.attempt_table(made))
    for attempt in made:
        if attempt.error:
            console.print(Text(f"\nattempt {attempt.attempt}", "dim"))
            console.print(
                Text(printable(attempt.error.traceback or error_text(attempt.error)).rstrip()), soft_wrap=True
            )


@app.command()
def follow(context: typer.Context, task_id: TaskId, as_json: Json = False) -> None:
    """Follow a task from its start until it has ended, then print its result."""
    with connect(context) as client:
        follow_task(client, task_id, as_json)


def cancel_one(client: Longrun, task_id: str, *, wait: bool, as_json: bool) -> None:
    """Cancel a task; with `wait`, until its run has stopped."""
    task = client.cancel(task_id)
    while wait and task.cancel is not None and task.cancel.stopped_at is None:
        time.sleep(STOP_POLL_S)
        task = client.get(task_id)
    if as_json:
        print_lines([task])
        return
    stopped = task.cancel is None or task.cancel.stopped_at is not None
    stdout().print(Text.assemble((task.status, "magenta"), "" if stopped else ", its run is being stopped"))


def retry_one(client: Longrun, task_id: str, *, follow: bool, as_json: bool) -> None:
    """Retry a task; with `follow`, until it has ended."""
    task = client.retry(task_id)
    if as_json:
        print_lines([task])
    if follow:
        follow_task(client, task_id, as_json, after=task.seq - 1)
    elif not as_json:
        stdout().print(status_text(task.status))


def follow_task(client: Longrun, task_id: str, as_json: bool, said: str = "", after: int = 0) -> NoReturn:
    """Show the events of a task until it has ended, then its result; exits with the code of its status."""
    if said and not as_json:
        stderr().print(said)
    try:
        events = client.stream(task_id, after)
        print_lines(events) if as_json else watch(events, stderr())
        task = client.get(task_id)
        task = task if task.ended else client.wait(task_id)  # it was retried meanwhile
    except KeyboardInterrupt:
        stderr().print(
            f"stopped following: task {task_id} continues\n"
            f"  follow it again  {_command(client, 'follow', task_id)}\n"
            f"  cancel it        {_command(client, 'cancel', task_id)}",
            soft_wrap=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_lines([task])
    else:
        stderr().print(outcome(task), soft_wrap=True)
        if task.status is Status.SUCCESS:
            print_json(stdout(), task.result)
    raise typer.Exit(ENDED[task.status])


def _live_log(client: Longrun, task_id: str) -> Iterator[LogLine]:
    for event in client.stream(task_id):
        if event.kind == "log":
            yield LogLine(seq=event.seq or 0, at=event.at, attempt=event.attempt, **event.data)


def _command(client: Longrun, *words: str) -> str:
    """A command line to type, with --server unless the server is the default one."""
    server = [] if client.base_url == given_url() else ["--server", without_password(client.base_url)]
    return shlex.join(["longrun", *server, *words])
