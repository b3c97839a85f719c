"""The task types that APIs accept, stored for the function `longrun.submit`, which cannot ask an API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store import json_text
from jobcore.store.transactions import DURABLE
from jobcore.tasks import TaskType

# A later version of a task type replaces an earlier one. None is deleted: a rolling deploy starts the new API while the
# old one still accepts its types. A job of a type that is gone waits, and `GET /tasks/{id}/why` says for what.
PUBLISH: Final = text(
    DURABLE
    + """
INSERT INTO task_types (name, queue, max_attempts, timeout_s, backoff_s, backoff_max_s, input_schema)
SELECT name, queue, max_attempts, timeout_s, backoff_s, backoff_max_s, input_schema
FROM jsonb_to_recordset(CAST(:types AS jsonb)) AS sent (
    name text, queue text, max_attempts integer, timeout_s double precision, backoff_s double precision,
    backoff_max_s double precision, input_schema jsonb)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
    queue = excluded.queue, max_attempts = excluded.max_attempts, timeout_s = excluded.timeout_s,
    backoff_s = excluded.backoff_s, backoff_max_s = excluded.backoff_max_s, input_schema = excluded.input_schema
"""
)


def publish(connection: Connection, types: Sequence[TaskType]) -> None:
    """Store what `longrun.submit` needs to know of these task types."""
    connection.execute(PUBLISH, {"types": json_text.rows(map(_row, types))})


def _row(task_type: TaskType) -> dict[str, object]:
    return {
        "name": task_type.name,
        "queue": task_type.queue,
        "max_attempts": task_type.retry.max_attempts,
        "timeout_s": task_type.timeout_s,
        "backoff_s": task_type.retry.backoff_s,
        "backoff_max_s": task_type.retry.backoff_max_s,
        "input_schema": task_type.input_model.model_json_schema(),
    }
