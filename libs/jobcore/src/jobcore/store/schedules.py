"""Schedules: kept, found due, and fired: exactly one job a tick, however many keepers try.

Who fires locks the schedule's row, and only if it still waits for the tick that was seen due (`next_at`) and nobody
changed it since (`version`); jobs and the next tick are committed together.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Accepted, Change, NewJob
from jobcore.schedule import Firing, Overlap, Plan, Schedule
from jobcore.store import jobs, json_text
from jobcore.store.database import DURABLE, transaction

COLUMNS: Final = f"""
    *, {json_text.stored("task", changes=True)} AS given_task, {json_text.stored("job", changes=True)} AS given_job
"""

RETRY_S: Final = 60
"""A schedule that could not be fired is tried again after so many seconds: it must not hold up the others."""


def now(connection: Connection) -> datetime:
    """The time of the database, by which every schedule goes."""
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
    """Keep a new schedule; None if its name is taken."""
    return _one(connection, INSERT, {"id": schedule_id, "next_at": next_at, **_columns(plan)})


GET: Final = text(f"SELECT {COLUMNS} FROM schedules WHERE id = :id")
FIND: Final = text(f"SELECT {COLUMNS} FROM schedules WHERE name = :name")


def get(connection: Connection, key: UUID | str) -> Schedule | None:
    """The schedule of that id or name."""
    return _one(connection, GET, {"id": key}) if isinstance(key, UUID) else _one(connection, FIND, {"name": key})


PAGE: Final = text(f"""
SELECT {COLUMNS} FROM schedules WHERE CAST(:before AS uuid) IS NULL OR id < :before ORDER BY id DESC LIMIT :limit
""")


def page(connection: Connection, *, limit: int, before: UUID | None = None) -> list[Schedule]:
    """Newest schedules first; `before` is the id that ended the page before (keyset)."""
    return _all(connection, PAGE, {"limit": limit, "before": before})


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
    """Change a schedule as it was read; None if it changed since, or the name is taken.

    `moves`: from now on it waits for `next_at`. Else its next tick stays, whoever fires it meanwhile.
    """
    parameters = {"id": schedule.id, "version": schedule.version, "moves": moves, "next_at": next_at}
    return _one(connection, UPDATE, parameters | _columns(plan))


DELETE: Final = text(DURABLE + f"DELETE FROM schedules WHERE id = :id RETURNING {COLUMNS}")


def delete(connection: Connection, schedule_id: UUID) -> Schedule | None:
    """Forget a schedule; its jobs stay. None if there is none."""
    return _one(connection, DELETE, {"id": schedule_id})


IS_DUE: Final = f"next_at <= now() AND (error_at IS NULL OR error_at < now() - interval '{RETRY_S} s')"

DUE: Final = text(f"""
SELECT {COLUMNS}, now() AS now FROM schedules WHERE {IS_DUE}
ORDER BY next_at LIMIT :limit
""")


def due(connection: Connection, limit: int) -> list[tuple[Schedule, datetime]]:
    """Schedules whose next tick has come, the longest due first, each with the time of the database."""
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


@dataclass(frozen=True, slots=True)
class Fired:
    """What was committed: the jobs of ticks, and the jobs that were cancelled to make way."""

    jobs: list[NewJob]
    accepted: list[Accepted]
    cancelled: list[Change]


LOCK: Final = text(
    DURABLE
    + """
-- a keeper that is frozen in here must not keep intakes of the same fairness key, queue or schedule waiting
SET LOCAL idle_in_transaction_session_timeout = '5s';
SELECT schedules.id FROM schedules JOIN jsonb_to_recordset(CAST(:firings AS jsonb)) AS firing (
    schedule_id uuid, version bigint, due timestamptz
) ON schedules.id = schedule_id AND schedules.version = firing.version AND next_at = due
ORDER BY schedules.id FOR UPDATE OF schedules
"""
)

# without bitmaps the index of open jobs is read, of which the planner expects too many
OPEN: Final = text("""
SET LOCAL enable_bitmapscan = off;
SELECT schedule_id, id, finished_at IS NULL AS stoppable FROM jobs
WHERE schedule_id = ANY(:ids) AND schedule_id IS NOT NULL
  AND (status IN ('PENDING', 'RUNNING') OR status = 'CANCELLED' AND cancel_stopped_at IS NULL)
ORDER BY id
""")

THERE: Final = text("""
SELECT schedule_id, scheduled_for FROM jobs
WHERE schedule_id = ANY(:ids) AND scheduled_for = ANY(:ticks) AND scheduled_for IS NOT NULL
""")

ADVANCE: Final = text("""
UPDATE schedules SET next_at = fired.next_at, last_at = coalesce(fired.last_at, schedules.last_at),
    runs = runs + fired.ran, skipped = schedules.skipped + fired.skipped, missed = schedules.missed + fired.missed,
    error = NULL, error_at = NULL
FROM jsonb_to_recordset(CAST(:fired AS jsonb)) AS fired (
    id uuid, next_at timestamptz, last_at timestamptz, ran bigint, skipped bigint, missed bigint)
WHERE schedules.id = fired.id
""")


def fire(connection: Connection, firings: Sequence[Firing]) -> Fired:
    """Submit the jobs of due ticks and move on; firings that came too late, or whose schedule changed, do nothing."""
    with transaction(connection):
        locked = set(connection.execute(LOCK, {"firings": json_text.rows(map(_guard, firings))}).scalars())
        won = [firing for firing in firings if firing.schedule_id in locked]
        if not won:
            return Fired([], [], [])
        busy = _open(connection, locked)
        wanted = _wanted(connection, [firing for firing in won if not _skips(firing, busy)])
        others = [other for firing in won for other in _others(firing, wanted, busy)]
        cancelled = [change for other in sorted(others) if (change := jobs.cancel(connection, other))]
        given = [job for ticks in wanted.values() for job in ticks]
        accepted = jobs.insert_inside(connection, given) if given else []
        fired = [_advance(firing, wanted.get(firing.schedule_id, [])) for firing in won]
        connection.execute(ADVANCE, {"fired": json_text.rows(fired)})
        return Fired(given, accepted, cancelled)


def _guard(firing: Firing) -> Mapping[str, Any]:
    return {"schedule_id": firing.schedule_id, "version": firing.version, "due": firing.due}


def _open(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, dict[UUID, bool]]:
    """The jobs of each schedule that have not ended, or not stopped; whether they can be cancelled."""
    found: dict[UUID, dict[UUID, bool]] = defaultdict(dict)
    for schedule_id, job_id, stoppable in connection.execute(OPEN, {"ids": list(ids)}):
        found[schedule_id][job_id] = stoppable
    return found


def _skips(firing: Firing, busy: Mapping[UUID, Any]) -> bool:
    return firing.overlap is Overlap.SKIP and firing.schedule_id in busy


def _wanted(connection: Connection, firings: Sequence[Firing]) -> dict[UUID, list[NewJob]]:
    """The jobs to submit; a tick that has one (a clock was set back) gets no other."""
    ids = [firing.schedule_id for firing in firings]
    ticks = [job.scheduled_for for firing in firings for job in firing.jobs]
    there = {tuple(row) for row in connection.execute(THERE, {"ids": ids, "ticks": ticks})} if ticks else set()
    return {
        firing.schedule_id: [job for job in firing.jobs if (job.schedule_id, job.scheduled_for) not in there]
        for firing in firings
    }


def _others(
    firing: Firing, wanted: Mapping[UUID, Sequence[NewJob]], busy: Mapping[UUID, Mapping[UUID, bool]]
) -> list[UUID]:
    if firing.overlap is not Overlap.CANCEL_OTHER or not wanted[firing.schedule_id]:
        return []
    return [job_id for job_id, stoppable in busy.get(firing.schedule_id, {}).items() if stoppable]


def _advance(firing: Firing, ran: Sequence[NewJob]) -> Mapping[str, Any]:
    return {
        "id": firing.schedule_id,
        "next_at": firing.next_at,
        "last_at": ran[-1].scheduled_for if ran else None,
        "ran": len(ran),
        "skipped": firing.skipped + len(firing.jobs) - len(ran),
        "missed": firing.missed,
    }


FAIL: Final = text(
    DURABLE + "UPDATE schedules SET error = :error, error_at = now() WHERE id = :id AND version = :version"
)


def fail(connection: Connection, schedule: Schedule, error: str) -> None:
    """Say on the schedule why its tick could not be fired; it is tried again after RETRY_S seconds."""
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
