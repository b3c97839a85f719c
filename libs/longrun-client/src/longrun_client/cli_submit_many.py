"""`longrun submit-many`: submit the tasks of a file, one JSON object a line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Annotated, Any, Final

import typer

from longrun_client.cli_options import IdempotencyKey, Json, ValidateOnly, connect
from longrun_client.console import print_lines, stderr
from longrun_client.errors import FieldError, LongrunError, ProblemError
from longrun_client.inputs import InputError, from_json
from longrun_client.models import Task

app = typer.Typer()

_NUMBER: Final = re.compile(r"items\[(\d+)\](\.?)")


@app.command(
    "submit-many", epilog='Example: echo \'{"task_type": "sleep", "input": {"seconds": 1}}\' | longrun submit-many -'
)
def submit_many(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file with one task a line, or - for stdin.")],
    *,
    idempotency_key: IdempotencyKey = None,
    validate_only: ValidateOnly = False,
    as_json: Json = False,
) -> None:
    """Submit the tasks of a file: each line is a JSON object as for POST /tasks. Prints their ids in the same order.

    Tasks are accepted in chunks of up to 1,000: all tasks of a chunk, or none.
    """
    if validate_only and idempotency_key:
        raise InputError("--validate-only: nothing is submitted, so give no --idempotency-key with it")
    done = 0

    def counted(tasks: Iterable[Task]) -> Iterator[Task]:
        nonlocal done
        for task in tasks:
            done += 1
            yield task

    try:
        with connect(context) as client:
            given = _tasks(_lines(file))
            if validate_only:
                tasks = counted(client.validate_many(given))
            else:
                tasks = counted(client.submit_many(given, idempotency_key=idempotency_key))
            if as_json:
                print_lines(tasks)
            else:
                for task in tasks:
                    if not validate_only:
                        print(task.task_id)
    except ProblemError as error:
        raise _of_lines(error) from None
    except ValueError as error:
        raise InputError(_NUMBER.sub(_line, str(error), count=1)) from None
    finally:
        stderr().print(f"{done:,} tasks are valid" if validate_only else f"accepted {done:,} tasks")


def _lines(file: str) -> Iterator[str]:
    try:
        with nullcontext(sys.stdin) if file == "-" else open(file, encoding="utf-8") as lines:
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None


def _tasks(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"line {number}: is empty; each line must be a JSON object")
        yield from_json(line, f"line {number}")


def _of_lines(error: ProblemError) -> LongrunError:
    """The error with lines, which count from 1, in place of the numbers of tasks, which count from 0."""
    errors = [FieldError(field=_NUMBER.sub(_line, each.field, count=1), message=each.message) for each in error.errors]
    return ProblemError(
        error.status,
        error.title,
        error.detail and _NUMBER.sub(_line, error.detail, count=1),
        type=error.type,
        errors=errors,
        retry_after_s=error.retry_after_s,
    )


def _line(found: re.Match[str]) -> str:
    return f"line {int(found[1]) + 1}{', ' if found[2] else ''}"
