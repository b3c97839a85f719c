"""The input of a task from the command line: `--name value` per field, or JSON from an argument, a file or stdin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from longrun_client.client import Longrun
from longrun_client.inputs import InputError, Schema, from_arguments, from_json
from longrun_client.models import TaskType


def task_input(client: Longrun, task_type: str, arguments: Sequence[str], input_json: str | None) -> dict[str, Any]:
    """The input of a task of a type that the server knows. Raises InputError."""
    return given_input(lambda: _task_type(client, task_type).input_schema, arguments, input_json)


def given_input(schema: Callable[[], Schema], arguments: Sequence[str], input_json: str | None) -> dict[str, Any]:
    """The input from JSON and arguments, which take precedence and need the `schema()`. Raises InputError."""
    given = from_json(*_read(input_json)) if input_json is not None else {}
    if arguments:
        given |= from_arguments(arguments, schema())
    return given


def _task_type(client: Longrun, name: str) -> TaskType:
    known = {task_type.name: task_type for task_type in client.task_types()}
    if name not in known:
        raise InputError(f"TASK_TYPE: there is no {name!r}; task types: {', '.join(known) or 'none'}")
    return known[name]


def _read(given: str) -> tuple[str, str]:
    if given == "-":
        return sys.stdin.read(), "--input - (stdin)"
    if not given.startswith("@"):
        return given, "--input"
    try:
        return Path(given[1:]).read_text(encoding="utf-8"), f"--input {given}"
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--input {given}: cannot be read: {error}") from None
