"""Workers and their lease: one row a worker, one tiny UPDATE a heartbeat, whatever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import RunningJob, Worker
from jobcore.store import json_text
from jobcore.store.database import DURABLE

COLUMNS: Final = "id, host, pid, queues, concurrency, version, state, beat, heartbeat_at, started_at, task_types"

REGISTER: Final = text("""
INSERT INTO workers (id, host, pid, queues, concurrency, version, state, task_types)
VALUES (:id, :host, :pid, :queues, :concurrency, :version, :state, :task_types)
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
) -> None:
    """Announce a worker and the task types that it knows; its id is new at each start and after each lost lease."""
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
        },
    )


# not durable: a heartbeat that waited for an absent standby would cost running jobs their lease, and one that a crash
# of PostgreSQL takes back only makes the worker look silent for a second more
BEAT: Final = text("""
SET LOCAL synchronous_commit = off;
UPDATE workers SET beat = beat + 1, heartbeat_at = now(), state = CASE WHEN :draining THEN 'draining' ELSE state END
WHERE id = :id AND state IN ('active', 'draining')
RETURNING state
""")


def beat(connection: Connection, worker_id: UUID, *, draining: bool) -> bool:
    """Renew the lease; False if the worker was declared dead meanwhile."""
    return connection.execute(BEAT, {"id": worker_id, "draining": draining}).first() is not None


LEAVE: Final = text("UPDATE workers SET state = 'gone', heartbeat_at = now() WHERE id = :id AND state <> 'dead'")


def leave(connection: Connection, worker_id: UUID) -> None:
    """Say that this worker runs nothing more; whatever is still RUNNING on it is rescued."""
    connection.execute(LEAVE, {"id": worker_id})


LIVE: Final = text(f"SELECT {COLUMNS} FROM workers WHERE state IN ('active', 'draining') ORDER BY started_at, id")


def live(connection: Connection) -> list[Worker]:
    """Workers that are not known to be dead or gone."""
    return [_worker(row) for row in connection.execute(LIVE)]


def _worker(row: Sequence[Any]) -> Worker:
    values = list(row)
    values[3] = tuple(values[3])
    values[-1] = None if values[-1] is None else tuple(values[-1])
    return Worker(*values)


RUNNING: Final = text("""
SELECT worker_id, id, task_type, slot, fence, attempt, started_at FROM jobs
WHERE status = 'RUNNING' AND worker_id = ANY(:ids) ORDER BY worker_id, slot, id LIMIT CAST(:limit AS bigint)
""")


def running(connection: Connection, worker_ids: Sequence[UUID], limit: int | None = None) -> list[RunningJob]:
    """What these workers run, by worker and slot; None: all of it."""
    return [RunningJob(*row) for row in connection.execute(RUNNING, {"ids": list(worker_ids), "limit": limit})]


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
    """Declare workers dead whose beat is still the one given; returns those that were."""
    parameters = {"silent": json_text.dumps({str(worker): beat for worker, beat in silent.items()})}
    return [row[0] for row in connection.execute(DECLARE_DEAD, parameters)]


FORGET: Final = text("""
DELETE FROM workers WHERE state IN ('dead', 'gone') AND heartbeat_at < now() - interval '1 day'
""")


def forget(connection: Connection) -> int:
    """Delete workers that ended a day ago; returns how many."""
    return connection.execute(FORGET).rowcount
