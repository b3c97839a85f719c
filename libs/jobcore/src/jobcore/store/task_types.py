"""The task types that APIs accept, stored for the function `longrun.submit`, which cannot ask an API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from jobcore.sealing.fields import has_secrets
from jobcore.store import json_text
from jobcore.store.transactions import DURABLE
from jobcore.tasks import TaskType

SEEN_EVERY: Final = "interval '1 hour'"
KEPT: Final = "interval '7 days'"

INSERT: Final = """
INSERT INTO task_types (name, queue, max_attempts, timeout_s, backoff_s, backoff_max_s, input_schema, has_secrets)
SELECT name, queue, max_attempts, timeout_s, backoff_s, backoff_max_s, input_schema, has_secrets
FROM jsonb_to_recordset(CAST(:types AS jsonb)) AS sent (
    name text, queue text, max_attempts integer, timeout_s double precision, backoff_s double precision,
    backoff_max_s double precision, input_schema jsonb, has_secrets boolean)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
"""

# A later version of a task type replaces an earlier one. None is deleted here: a rolling deploy starts the new API
# while the old one still accepts its types.
PUBLISH: Final = text(f"""{DURABLE} {INSERT}
    queue = excluded.queue, max_attempts = excluded.max_attempts, timeout_s = excluded.timeout_s,
    backoff_s = excluded.backoff_s, backoff_max_s = excluded.backoff_max_s, input_schema = excluded.input_schema,
    has_secrets = excluded.has_secrets, seen_at = now()
""")

# An API that runs for long may be older than the one that published a type last, so it only says that the type lives.
SEE: Final = text(f"{INSERT} seen_at = now() WHERE task_types.seen_at < now() - {SEEN_EVERY}")

# A job of a type that is gone waits, and `GET /tasks/{id}/why` says for what. A worker of the first version has not
# said which types it knows.
FORGET: Final = text(f"""
DELETE FROM task_types WHERE seen_at < now() - {KEPT} AND NOT EXISTS (
    SELECT FROM workers
    WHERE state IN ('active', 'draining') AND (workers.task_types IS NULL OR name = ANY(workers.task_types))
)
""")


def publish(connection: Connection, types: Sequence[TaskType]) -> None:
    """Store what `longrun.submit` needs to know of these task types."""
    connection.execute(PUBLISH, {"types": json_text.rows(map(_row, types))})


def see(connection: Connection, types: Sequence[TaskType]) -> None:
    """Say that these task types are still accepted; stores those that are missing, and changes no other."""
    connection.execute(SEE, {"types": json_text.rows(map(_row, types))})


def forget(connection: Connection) -> int:
    """Delete the task types that no API has accepted for 7 days and no worker knows; returns how many."""
    return connection.execute(FORGET).rowcount


def _row(task_type: TaskType) -> dict[str, object]:
    return {
        "name": task_type.name,
        "queue": task_type.queue,
        "max_attempts": task_type.retry.max_attempts,
        "timeout_s": task_type.timeout_s,
        "backoff_s": task_type.retry.backoff_s,
        "backoff_max_s": task_type.retry.backoff_max_s,
        "input_schema": task_type.input_model.model_json_schema(),
        "has_secrets": has_secrets(task_type.input_model),
    }
