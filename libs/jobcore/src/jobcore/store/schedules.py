"""Schedules: their rows, and which of them are due. Firing them is in store/firings.py."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.schedule import Plan, Schedule
from jobcore.store import json_text
from jobcore.store.ownership import OF_KEY
from jobcore.store.transactions import DURABLE

COLUMNS: Final = f"""
    *, {json_text.stored("task", changes=True)} AS given_task, {json_text.stored("job", changes=True)} AS given_job
"""

RETRY_S: Final = 60
"""A schedule that failed to fire is due again after so many seconds, so that it does not delay the others."""


def now(connection: Connection) -> datetime:
    """The time of the database, which decides when schedules are due."""
    at: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return at


INSERT: Final = text(
    DURABLE
    + f"""
INSERT INTO schedules (id, name, cron, timezone, overlap, missed_runs, max_missed_runs, start_deadline_s, paused,
                       task, job, task_exact, job_exact, next_at)
VALUES (:id, :name, :cron, :timezone, :overlap, :missed_runs, :max_missed_runs, :start_deadline_s, :paused,
        CAST(:task AS jsonb), CAST(:job AS jsonb), :task_exact, :job_exact, :next_at)
ON CONFLICT (name) DO NOTHING RETURNING {COLUMNS}
"""
)


def insert(connection: Connection, schedule_id: UUID, plan: Plan, next_at: datetime | None) -> Schedule | None:
    """Store a new schedule; None if its name is taken."""
    return _one(connection, INSERT, {"id": schedule_id, "next_at": next_at, **_columns(plan)})


GET: Final = text(f"SELECT {COLUMNS} FROM schedules WHERE id = :id")
FIND: Final = text(f"SELECT {COLUMNS} FROM schedules WHERE name = :name")


def get(connection: Connection, key: UUID | str) -> Schedule | None:
    """The schedule with that id or name; None if there is none."""
    return _one(connection, GET, {"id": key}) if isinstance(key, UUID) else _one(connection, FIND, {"name": key})


PAGE: Final = f"""
SELECT {COLUMNS} FROM schedules
WHERE {{of}} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
"""
PAGE_OF_ANYONE: Final = text(PAGE.format(of="true"))
PAGE_OF_OWNER: Final = text(PAGE.format(of=OF_KEY.format(key="name")))


def page(connection: Connection, *, limit: int, before: UUID | None = None, owner: str | None = None) -> list[Schedule]:
    """The newest `limit` schedules, of an owner or of everyone; `before` is the last id of the page before (keyset)."""
    statement = PAGE_OF_OWNER if owner else PAGE_OF_ANYONE
    return _all(connection, statement, {"limit": limit, "before": before} | ({"owner": owner} if owner else {}))


UPDATE: Final = text(
    DURABLE
    + f"""
UPDATE schedules SET
    name = :name, cron = :cron, timezone = :timezone, overlap = :overlap, missed_runs = :missed_runs,
    max_missed_runs = :max_missed_runs, start_deadline_s = :start_deadline_s, paused = :paused,
    task = CAST(:task AS jsonb), job = CAST(:job AS jsonb), task_exact = :task_exact, job_exact = :job_exact,
    version = version + 1, updated_at = now(),
    next_at = CASE WHEN :moves THEN :next_at ELSE next_at END, error = NULL, error_at = NULL
WHERE id = :id AND version = :version AND NOT EXISTS (SELECT FROM schedules WHERE name = :name AND id <> :id)
RETURNING {COLUMNS}
"""
)


def update(
    connection: Connection, schedule: Schedule, plan: Plan, *, moves: bool, next_at: datetime | None
) -> Schedule | None:
    """Change a schedule; None if it is no longer as it was read, or the name is taken.

    With `moves`, its next tick becomes `next_at`; otherwise its next tick stays as it is, even if it fires meanwhile.
    """
    parameters = {"id": schedule.id, "version": schedule.version, "moves": moves, "next_at": next_at}
    return _one(connection, UPDATE, parameters | _columns(plan))


DELETE: Final = text(
    DURABLE
    + f"""
DELETE FROM schedules WHERE id = :id AND version = coalesce(CAST(:version AS bigint), version) RETURNING {COLUMNS}
"""
)


def delete(connection: Connection, schedule_id: UUID, version: int | None = None) -> Schedule | None:
    """Delete a schedule, in any version or in this one, and return it; its jobs stay. None if there is none."""
    return _one(connection, DELETE, {"id": schedule_id, "version": version})


IS_DUE: Final = f"next_at <= now() AND (error_at IS NULL OR error_at < now() - interval '{RETRY_S} s')"

DUE: Final = text(f"""
SELECT {COLUMNS}, now() AS now FROM schedules WHERE {IS_DUE}
ORDER BY next_at LIMIT :limit
""")


def due(connection: Connection, limit: int) -> list[tuple[Schedule, datetime]]:
    """The first `limit` due schedules, in order of their tick, each with the time of the database."""
    rows = connection.execute(DUE, {"limit": limit}).mappings()
    return [(_schedule(row), row["now"]) for row in rows]


SECONDS_TO_NEXT: Final = """
SELECT CAST(extract(epoch FROM next_at - now()) AS double precision) FROM schedules
WHERE next_at > now() ORDER BY next_at LIMIT 1
"""
DUE_IN: Final = text(SECONDS_TO_NEXT)


def due_in_s(connection: Connection) -> float:
    """Seconds until the next tick of any schedule; infinite if there is none."""
    seconds: float | None = connection.execute(DUE_IN).scalar()
    return math.inf if seconds is None else seconds


FAIL: Final = text(
    DURABLE + "UPDATE schedules SET error = :error, error_at = now() WHERE id = :id AND version = :version"
)


def fail(connection: Connection, schedule: Schedule, error: str) -> None:
    """Store why a schedule failed to fire; it is due again after `RETRY_S` seconds."""
    parameters = {"id": schedule.id, "version": schedule.version, "error": error.replace("\0", "")[:1000]}
    connection.execute(FAIL, parameters)


def _columns(plan: Plan) -> dict[str, Any]:
    task, job = json_text.dumps(plan.task), json_text.dumps(plan.job)
    exact = {"task_exact": json_text.exact(task), "job_exact": json_text.exact(job)}
    return asdict(plan) | {"task": task, "job": job} | exact


def _schedule(row: Mapping[Any, Any]) -> Schedule:
    given = {"task": json_text.loads(row["given_task"]), "job": json_text.loads(row["given_job"])}
    return Schedule.from_row({**row, **given})


def _one(connection: Connection, statement: Any, parameters: Mapping[str, Any]) -> Schedule | None:
    row = connection.execute(statement, parameters).mappings().first()
    return _schedule(row) if row else None


def _all(connection: Connection, statement: Any, parameters: Mapping[str, Any]) -> list[Schedule]:
    return [_schedule(row) for row in connection.execute(statement, parameters).mappings()]
