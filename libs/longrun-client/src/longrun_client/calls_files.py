"""Calls of the API for files of tasks."""

from __future__ import annotations

from urllib.parse import quote

from longrun_client.calls import Call, items, task_path
from longrun_client.models_files import TaskFile


def files(task_id: str) -> Call[tuple[TaskFile, ...]]:
    """GET /tasks/{id}/files."""
    return Call("GET", f"{task_path(task_id)}/files", items(TaskFile))


def input_files(task_id: str) -> Call[tuple[TaskFile, ...]]:
    """GET /tasks/{id}/input-files."""
    return Call("GET", f"{task_path(task_id)}/input-files", items(TaskFile))


def file_path(task_id: str, name: str) -> str:
    """The path of a result file of a task."""
    return f"{task_path(task_id)}/files/{quote(name, safe='')}"


def input_file_path(task_id: str, name: str) -> str:
    """The path of an input file of a task."""
    return f"{task_path(task_id)}/input-files/{quote(name, safe='')}"
