"""`longrun submit`."""

from __future__ import annotations

from typing import Any

import typer

from longrun_client.cli_input import task_input
from longrun_client.cli_options import File, IdempotencyKey, Input, Json, TaskType, ValidateOnly, connect, input_files
from longrun_client.cli_task_options import with_submit_options, with_task_options
from longrun_client.cli_tasks import Follow, command_line, follow_task, show_task
from longrun_client.console import print_lines, stderr
from longrun_client.inputs import InputError
from longrun_client.models import Task
from longrun_client.text import printable

app = typer.Typer()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: longrun submit web_scrape --url https://example.org --follow",
)
@with_submit_options
@with_task_options
def submit(
    context: typer.Context,
    task_type: TaskType,
    *,
    input_json: Input = None,
    options: dict[str, Any],
    times: dict[str, Any],
    idempotency_key: IdempotencyKey = None,
    file: File = None,
    validate_only: ValidateOnly = False,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """Submit a task. Give its input as --NAME VALUE for each field, or with --input. Prints the id of the task.

    Give a field of the input that is called like an option here with --input.
    """
    if task_type.startswith("-"):
        raise InputError(f"{task_type}: the task type comes first: longrun submit TASK_TYPE {task_type} …")
    if validate_only and (follow or idempotency_key or file):
        raise InputError(
            "--validate-only: nothing is submitted, so give none of --follow, --idempotency-key and --file with it"
        )
    with connect(context) as client:
        values = task_input(client, task_type, context.args, input_json)
        if validate_only:
            task = client.validate(task_type, values, **options, **times)
            _warn(task)
            print_lines([task]) if as_json else show_task(task)
            return
        files = input_files(file)
        task = client.submit(task_type, values, idempotency_key=idempotency_key, files=files, **options, **times)
        _warn(task)
        if as_json:
            print_lines([task])
        said = "already live" if task.deduplicated else "accepted"
        if follow:
            follow_task(client, task.task_id, as_json, said=f"{said} as {task.task_id}")
        elif not as_json:
            print(task.task_id)
            stderr().print(f"{said}, follow it with: {command_line(client, 'follow', task.task_id)}", soft_wrap=True)


def _warn(task: Task) -> None:
    for warning in task.warnings:
        stderr().print(f"warning: {printable(warning.detail)}", soft_wrap=True)
