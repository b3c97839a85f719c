"""The call that asks why a task does not run, as a value."""

from __future__ import annotations

from longrun_client.calls import Call, task_path
from longrun_client.models_why import Why


def why(task_id: str) -> Call[Why]:
    """GET /tasks/{id}/why."""
    return Call("GET", f"{task_path(task_id)}/why", Why.model_validate)
