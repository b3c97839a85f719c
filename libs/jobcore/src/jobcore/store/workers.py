"""Workers and their leases: one row for each worker, and one small UPDATE for each heartbeat, whatever it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import RunningJob, Worker
from jobcore.store import json_text
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_WORKERS: Final = Rows(Worker, queues=tuple, task_types=lambda types: None if types is None else tuple(types))
_RUNNING: Final = Rows(RunningJob)

FLEET: Final = """
fleet AS MATERIALIZED (
    SELECT queue AS name, count(*) AS workers, sum(concurrency) AS children, sum(busy) AS busy
    FROM (
        SELECT queues, concurrency, (
            SELECT count(DISTINCT slot) FROM jobs WHERE jobs.worker_id = workers.id AND jobs.status = 'RUNNING'
        ) AS busy
        FROM workers WHERE state = 'active'
    ) AS active CROSS JOIN LATERAL unnest(queues) AS queue
    GROUP BY queue
)
"""
"""A CTE: the active workers of each queue that has any, their children, and how many of these run a job."""

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
    """Store a worker and the task types that it knows; its id is new at each start and after each lost lease."""
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
SELECT {_WORKERS.columns} FROM workers WHERE state IN ('active', 'draining') ORDER BY started_at, id
""")


def live(connection: Connection) -> list[Worker]:
    """The workers that are active or draining."""
    return _WORKERS.read(connection.execute(LIVE))


RUNNING: Final = text(f"""
SELECT {_RUNNING.columns} FROM (SELECT *, id AS task_id FROM jobs) AS jobs
WHERE status = 'RUNNING' AND worker_id = ANY(:ids) ORDER BY worker_id, slot, id LIMIT CAST(:limit AS bigint)
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


FORGET: Final = text("""
DELETE FROM workers WHERE state IN ('dead', 'gone') AND heartbeat_at < now() - interval '1 day'
""")


def forget(connection: Connection) -> int:
    """Delete workers that ended a day ago or earlier; returns how many."""
    return connection.execute(FORGET).rowcount
