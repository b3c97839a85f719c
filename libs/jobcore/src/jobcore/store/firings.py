"""Firing schedules: each tick gets exactly one job, however many keepers try.

Whoever fires a schedule locks its row, provided that it still waits for the tick that was seen due (`next_at`) and that
nobody changed it (`version`). The jobs and the next tick are committed together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Accepted, Change, NewJob
from jobcore.schedule import Decision, Firing
from jobcore.store import jobs, json_text
from jobcore.store.transactions import DURABLE, transaction


@dataclass(frozen=True, slots=True)
class Fired:
    """What was committed: the jobs of ticks, and the transitions of the jobs that were cancelled for them."""

    jobs: list[NewJob]
    accepted: list[Accepted]
    cancelled: list[Change]


LOCK: Final = text(
    DURABLE
    + """
-- a keeper that freezes in this transaction must not block intakes of the same fairness key, queue or schedule for long
SET LOCAL idle_in_transaction_session_timeout = '5s';
SELECT schedules.id FROM schedules JOIN jsonb_to_recordset(CAST(:firings AS jsonb)) AS firing (
    schedule_id uuid, version bigint, due timestamptz
) ON schedules.id = schedule_id AND schedules.version = firing.version AND next_at = due
ORDER BY schedules.id FOR UPDATE OF schedules
"""
)

# Without bitmap scans, the planner reads the index of open jobs, of which it expects too many.
OPEN_JOBS: Final = text("""
SET LOCAL enable_bitmapscan = off;
SELECT schedule_id, id, finished_at IS NULL AS stoppable FROM jobs
WHERE schedule_id = ANY(:ids) AND schedule_id IS NOT NULL
  AND (status IN ('PENDING', 'RUNNING') OR status = 'CANCELLED' AND cancel_stopped_at IS NULL)
ORDER BY id
""")

SUBMITTED: Final = text("""
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
    """Carry out the firings in one transaction. A firing that is late, or whose schedule changed, does nothing."""
    with transaction(connection):
        locked = _lock(connection, firings)
        if not locked:
            return Fired([], [], [])
        open_jobs, submitted = _open_jobs(connection, locked), _submitted(connection, locked)
        decisions = [each.decide(open_jobs[each.schedule_id], submitted[each.schedule_id]) for each in locked]
        return _carry_out(connection, decisions)


def _lock(connection: Connection, firings: Sequence[Firing]) -> list[Firing]:
    """Lock the schedules that are as the firings expect them; returns the firings of these."""
    expected = [{"schedule_id": each.schedule_id, "version": each.version, "due": each.due} for each in firings]
    locked = set(connection.execute(LOCK, {"firings": json_text.rows(expected)}).scalars())
    return [each for each in firings if each.schedule_id in locked]


def _open_jobs(connection: Connection, firings: Collection[Firing]) -> Mapping[UUID, dict[UUID, bool]]:
    """By schedule: the jobs that have not ended, or not stopped, and whether each can be cancelled."""
    found: dict[UUID, dict[UUID, bool]] = defaultdict(dict)
    for row in connection.execute(OPEN_JOBS, {"ids": [each.schedule_id for each in firings]}):
        found[row.schedule_id][row.id] = row.stoppable
    return found


def _submitted(connection: Connection, firings: Collection[Firing]) -> Mapping[UUID, set[datetime]]:
    """By schedule: the ticks of these firings that have a job."""
    found: dict[UUID, set[datetime]] = defaultdict(set)
    ticks = [job.scheduled_for for each in firings for job in each.jobs]
    if ticks:
        for row in connection.execute(SUBMITTED, {"ids": [each.schedule_id for each in firings], "ticks": ticks}):
            found[row.schedule_id].add(row.scheduled_for)
    return found


def _carry_out(connection: Connection, decisions: Sequence[Decision]) -> Fired:
    others = sorted(other for decision in decisions for other in decision.others)
    cancelled = [change for other in others if (change := jobs.cancel(connection, other))]
    submitted = [job for decision in decisions for job in decision.jobs]
    # in the order in which all take the locks of owners
    submitted.sort(key=lambda job: job.owner or "")
    accepted = jobs.insert_inside(connection, submitted) if submitted else []
    connection.execute(ADVANCE, {"fired": json_text.rows(map(_advance, decisions))})
    return Fired(submitted, accepted, cancelled)


def _advance(decision: Decision) -> Mapping[str, Any]:
    return {
        "id": decision.firing.schedule_id,
        "next_at": decision.firing.next_at,
        "last_at": decision.last_at,
        "ran": len(decision.jobs),
        "skipped": decision.skipped,
        "missed": decision.firing.missed,
    }
