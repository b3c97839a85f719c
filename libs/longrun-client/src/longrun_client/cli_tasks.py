"""`longrun show`, `wait`, `logs`, `attempts` and `follow`; and what `cancel` and `retry` do with one task."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from typing import Annotated, Final, NoReturn

import typer
from rich.text import Text

from longrun_client import tables
from longrun_client.calls import Until
from longrun_client.cli_ids import TaskId, TaskIds
from longrun_client.cli_options import Json, connect
from longrun_client.client import Longrun
from longrun_client.console import print_lines, print_table, stderr, stdout
from longrun_client.follow import watch
from longrun_client.inputs import InputError
from longrun_client.models import LogLine, Status, Task
from longrun_client.server import given_url, without_password
from longrun_client.text import error_text, log_line, outcome, print_json, printable, status_text

INTERRUPTED: Final = 130
ENDED: Final = {Status.SUCCESS: 0, Status.FAILED: 1, Status.CANCELLED: 3}
TIMED_OUT: Final = 124
"""What `timeout` of coreutils exits with."""

app = typer.Typer()

After = Annotated[int, typer.Option(metavar="SEQ", help="Only what comes after this `seq`.")]
Follow = Annotated[bool, typer.Option("--follow", help="Show the events of the task until it has ended.")]


class TaskLogLine(LogLine):
    """A line of the log of one of several tasks."""

    task_id: str


@app.command()
def show(context: typer.Context, task_ids: TaskIds, as_json: Json = False) -> None:
    """Show one task or several."""
    with connect(context) as client:
        for number, task_id in enumerate(task_ids):
            task = client.get(task_id)
            if as_json:
                print_lines([task])
                continue
            if number:
                stdout().print()
            show_task(task)


@app.command()
def wait(
    context: typer.Context,
    task_ids: TaskIds,
    *,
    timeout: Annotated[float | None, typer.Option(help="Give up after this number of seconds: exit code 124.")] = None,
    until: Annotated[Until, typer.Option(help="`stopped`: a cancelled task also until its run has stopped.")] = "ended",
    as_json: Json = False,
) -> None:
    """Wait until all these tasks have ended. The exit code is that of the first that is no SUCCESS."""
    deadline = None if timeout is None else time.monotonic() + timeout
    codes = []
    with connect(context) as client:
        for task_id in task_ids:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                task = client.wait(task_id, left_s, until=until)
            except TimeoutError as error:
                stderr().print(f"longrun: {printable(str(error))}", soft_wrap=True)
                raise typer.Exit(TIMED_OUT) from None
            print_lines([task]) if as_json else stdout().print(f"{task_id}  {task.status}", soft_wrap=True)
            codes.append(ENDED[task.status])
    raise typer.Exit(next(filter(None, codes), 0))


@app.command()
def logs(
    context: typer.Context,
    task_ids: TaskIds,
    *,
    after: After = 0,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Print the log of a task, or of several one after the other."""
    several = len(task_ids) > 1
    if several and (follow or after):
        raise InputError("--follow and --after: give one id with them")
    with connect(context) as client:
        for task_id in task_ids:
            lines = _live_log(client, task_id, after) if follow else client.logs(task_id, after)
            if as_json:
                print_lines(TaskLogLine(task_id=task_id, **line.model_dump(exclude_unset=True)) for line in lines)
                continue
            console = stdout()
            if several:
                console.print(Text(f"==> {printable(task_id)} <==", "dim"), soft_wrap=True)
            for line in lines:
                console.print(log_line(line), soft_wrap=True)


@app.command()
def attempts(context: typer.Context, task_id: TaskId, *, after: After = 0, as_json: Json = False) -> None:
    """List the attempts of a task: when and where each ran, its outcome, and why it failed."""
    with connect(context) as client:
        made = list(client.attempts(task_id, after))
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
def follow(context: typer.Context, task_id: TaskId, *, after: After = 0, as_json: Json = False) -> None:
    """Follow a task from its start until it has ended, then print its result."""
    with connect(context) as client:
        follow_task(client, task_id, as_json, after=after)


def cancel_one(client: Longrun, task_id: str, *, wait: bool, as_json: bool) -> None:
    """Cancel a task; with `wait`, until its run has stopped."""
    task = client.cancel(task_id)
    if wait and not task.stopped:
        task = client.wait(task_id, until="stopped")
    if as_json:
        print_lines([task])
        return
    stdout().print(Text.assemble((task.status, "magenta"), "" if task.stopped else ", its run is being stopped"))


def retry_one(client: Longrun, task_id: str, *, key: str | None, follow: bool, as_json: bool) -> None:
    """Retry a task, by a request with this idempotency key; with `follow`, until it has ended."""
    task = client.retry(task_id, idempotency_key=key)
    if as_json:
        print_lines([task])
    if follow:
        follow_task(client, task_id, as_json, after=task.seq - 1)
    elif not as_json:
        stdout().print(status_text(task.status))


def show_task(task: Task) -> None:
    """Print a task with its input and result."""
    console = stdout()
    console.print(tables.task_sheet(task))
    for label, value in (("input", task.input), ("result", task.result)):
        if value is not None:
            console.print(Text(f"\n{label}", "dim"))
            print_json(console, value)


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
            f"  follow it again  {command_line(client, 'follow', task_id)}\n"
            f"  cancel it        {command_line(client, 'cancel', task_id)}",
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


def _live_log(client: Longrun, task_id: str, after: int) -> Iterator[LogLine]:
    for event in client.stream(task_id, after):
        if event.kind == "log":
            yield LogLine(seq=event.seq or 0, at=event.at, attempt=event.attempt, **event.data)


def command_line(client: Longrun, *words: str) -> str:
    """A command line to type, with --server unless the server is the default one."""
    server = [] if client.base_url == given_url() else ["--server", without_password(client.base_url)]
    return shlex.join(["longrun", *server, *words])
