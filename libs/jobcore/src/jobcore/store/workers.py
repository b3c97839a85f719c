"""Workers and their leases: one row for each worker, and one small UPDATE for each heartbeat, whatever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import RunningJob, Worker, by_lane
from jobcore.states import Lane
from jobcore.store import json_text
from jobcore.store.room import LANE, ROOM
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_WORKERS: Final = Rows(
    Worker,
    queues=tuple,
    task_types=lambda types: None if types is None else tuple(types),
    runs=by_lane,
    room=by_lane,
)
_RUNNING: Final = Rows(RunningJob, lane=Lane)

REGISTER: Final = text("""
INSERT INTO workers (id, host, pid, queues, concurrency, jobs_per_child, version, state, task_types, lanes)
VALUES (:id, :host, :pid, :queues, :concurrency, :jobs_per_child, :version, :state, :task_types, :lanes)
""")


def register(
    connection: Connection,
    worker_id: UUID,
    *,
    host: str,
    pid: int,
    queues: Sequence[str],
    concurrency: int,
    version: str,
    state: str = "active",
    task_types: Sequence[str] | None,
    lanes: Sequence[str] | None = None,
    jobs_per_child: int = 1,
) -> None:
    """Store a worker and the task types that it knows; its id is new at each start and after each lost lease.

    `lanes` has the lane of each task type, in the same order; None: all are of the process lane.
    """
    connection.execute(
        REGISTER,
        {
            "id": worker_id,
            "host": host,
            "pid": pid,
            "queues": list(queues),
            "concurrency": concurrency,
            "version": version,
            "state": state,
            "task_types": None if task_types is None else list(task_types),
            "lanes": None if lanes is None else list(lanes),
            "jobs_per_child": jobs_per_child,
        },
    )


# Not durable: a heartbeat that waits for an absent standby would cost running jobs their lease, and a heartbeat that a
# crash of PostgreSQL undoes only makes the worker look silent for a second more.
BEAT: Final = text("""
SET LOCAL synchronous_commit = off;
UPDATE workers SET beat = beat + 1, heartbeat_at = now(), state = CASE WHEN :draining THEN 'draining' ELSE state END
WHERE id = :id AND state IN ('active', 'draining')
RETURNING state
""")


def beat(connection: Connection, worker_id: UUID, *, draining: bool) -> bool:
    """Renew the lease; returns False if the worker was declared dead."""
    return connection.execute(BEAT, {"id": worker_id, "draining": draining}).first() is not None


LEAVE: Final = text("UPDATE workers SET state = 'gone', heartbeat_at = now() WHERE id = :id AND state <> 'dead'")


def leave(connection: Connection, worker_id: UUID) -> None:
    """Mark a worker as gone: it runs nothing any more, and jobs that are still RUNNING on it are rescued."""
    connection.execute(LEAVE, {"id": worker_id})


LIVE: Final = text(f"""
SELECT {_WORKERS.columns} FROM (
    SELECT workers.*, ARRAY[process, async, thread] AS runs, ARRAY[process_room, async_room, thread_room] AS room
    FROM workers CROSS JOIN {ROOM} WHERE state IN ('active', 'draining')
) AS live ORDER BY started_at, id
""")


def live(connection: Connection) -> list[Worker]:
    """The workers that are active or draining, with what they run and their room."""
    return _WORKERS.read(connection.execute(LIVE))


RUNNING: Final = text(f"""
SELECT {_RUNNING.columns} FROM (
    SELECT jobs.*, jobs.id AS task_id, {LANE} AS lane FROM jobs JOIN workers ON workers.id = worker_id
    WHERE status = 'RUNNING' AND worker_id = ANY(:ids)
) AS jobs ORDER BY worker_id, slot, id LIMIT CAST(:limit AS bigint)
""")


def running(connection: Connection, worker_ids: Sequence[UUID], limit: int | None = None) -> list[RunningJob]:
    """The first `limit` jobs that these workers run, in order of worker and slot; all of them for None."""
    return _RUNNING.read(connection.execute(RUNNING, {"ids": list(worker_ids), "limit": limit}))


DECLARE_DEAD: Final = text(
    DURABLE
    + """
UPDATE workers SET state = 'dead'
FROM jsonb_each_text(CAST(:silent AS jsonb)) AS silent (id, beat)
WHERE workers.id = CAST(silent.id AS uuid) AND workers.beat = CAST(silent.beat AS bigint)
  AND state IN ('active', 'draining')
RETURNING workers.id
"""
)


def declare_dead(connection: Connection, silent: Mapping[UUID, int]) -> list[UUID]:
    """Declare workers dead whose beat is still the given one; returns their ids."""
    parameters = {"silent": json_text.dumps({str(worker): beat for worker, beat in silent.items()})}
    return list(connection.execute(DECLARE_DEAD, parameters).scalars())


# The last worker of some queues stays: while no worker serves them, its lanes tell how many workers their jobs need.
FORGET: Final = text("""
DELETE FROM workers WHERE state IN ('dead', 'gone') AND heartbeat_at < now() - interval '1 day'
  AND EXISTS (
      SELECT FROM workers AS later
      WHERE later.queues = workers.queues AND (later.started_at, later.id) > (workers.started_at, workers.id)
  )
""")


def forget(connection: Connection) -> int:
    """Delete workers that ended a day ago or earlier, but the last one of its queues; returns how many."""
    return connection.execute(FORGET).rowcount
