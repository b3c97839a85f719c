"""What decides whether and when a job runs: its row, its queue, its limits, the workers, and the jobs before it.

Each statement reads a bounded number of rows, whatever the backlog and the history are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.states import Status
from jobcore.store import rate_situations
from jobcore.store.limits import AT_KEY, HAS_PERMIT
from jobcore.store.ownership import OWNED
from jobcore.store.prepared import ORDERED
from jobcore.store.promotion import DUE_RANK, WAITS
from jobcore.store.queue_limits import TAKEN
from jobcore.store.ready_jobs import OF_TYPE, READY, READY_SINCE
from jobcore.store.room import LANE
from jobcore.store.rows import Rows
from jobcore.store.start_permits import BLOCKED as RATE_BLOCKED

COUNT_MAX: Final = 10_000
"""How many jobs before another one are counted at most."""
BLOCKING_MAX: Final = 20
"""How many of the jobs that have the permits of a limit are named."""
SAMPLE: Final = 50
"""How many of the newest ended jobs of a task type and status are looked at."""
TYPES_MAX: Final = 20
"""Of how many task types they are looked at."""

SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n"


@dataclass(frozen=True, slots=True)
class Situation:
    """A job, its queue and its workers at the time `now`.

    `suspected` is how often its run was suspected of having ended a child (`store.suspects`). `waits` says whether it
    waits for its time, `blocked` whether its concurrency key has no permit for it, and
    `rate_blocked` whether its rate key has none; `queue_rated` whether its queue has a rate limit. `noted_at` is the
    time of its last event. `types` are the task types that the workers of the queue know; None if one of them runs any
    type. Of these workers `serving` serve the queue, `knowing` also know the job's type, and they have room for
    `places` such jobs at once. `served_until` and `known_until` are when the last worker of each kind ended that has
    ended.
    """

    now: datetime
    id: UUID
    status: Status
    task_type: str
    queue: str
    rank: datetime
    suspected: int
    waits: bool
    blocked: bool
    tried: bool
    run_at: datetime
    ready_since: datetime
    expires_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    cancel_stopped_at: datetime | None
    noted_at: datetime | None
    attempt: int
    worker_id: UUID | None
    low_rank: datetime | None
    paused: bool
    paused_at: datetime | None
    queue_limit: int | None
    queue_taken: int
    concurrency_key: str | None
    rate_key: str | None
    rate_blocked: bool
    queue_rated: bool
    key_limit: int
    key_taken: int
    serving: int
    knowing: int
    places: int
    types: Sequence[str] | None
    served_until: datetime | None
    known_until: datetime | None


_SITUATIONS: Final = Rows(Situation, status=Status)
FIND: Final = text(f"""{SNAPSHOT}{ORDERED}
WITH job AS MATERIALIZED (
    SELECT id, status, task_type, queue, suspected,
           {WAITS} AS waits, CASE WHEN {WAITS} THEN {DUE_RANK} ELSE rank END AS rank,
           {AT_KEY} IS TRUE AS blocked, {RATE_BLOCKED} IS TRUE AS rate_blocked, attempt > earlier_attempts AS tried,
           run_at, CASE WHEN {WAITS} THEN run_at ELSE {READY_SINCE} END AS ready_since,
           CASE WHEN started_at IS NULL THEN expires_at END AS expires_at, created_at, started_at, finished_at,
           cancel_requested_at, cancel_stopped_at, last_seq, attempt, worker_id, concurrency_key, rate_key
    FROM jobs WHERE id = :id
), active AS MATERIALIZED (
    SELECT workers.task_types, workers.task_types IS NULL OR task_type = ANY(workers.task_types) AS knows,
           CASE WHEN {LANE} = 'process' THEN concurrency ELSE concurrency * jobs_per_child END AS places
    FROM job CROSS JOIN workers WHERE state = 'active' AND queue = ANY(queues)
), past AS MATERIALIZED (
    SELECT max(heartbeat_at) AS served_until,
           max(heartbeat_at) FILTER (WHERE task_types IS NULL OR task_type = ANY(task_types)) AS known_until
    FROM job CROSS JOIN (SELECT * FROM workers ORDER BY id DESC LIMIT 1000) AS newest
    WHERE state <> 'active' AND queue = ANY(queues)
), fleet AS MATERIALIZED (
    SELECT count(*) AS serving, count(*) FILTER (WHERE knows) AS knowing,
           coalesce(sum(places) FILTER (WHERE knows), 0) AS places,
           CASE WHEN NOT bool_or(task_types IS NULL) THEN ARRAY(
               SELECT DISTINCT known FROM active CROSS JOIN LATERAL unnest(task_types) AS known ORDER BY known
           ) END AS types
    FROM active
), seen AS (
    SELECT job.*, now() AS now, low_rank, coalesce(paused, false) AS paused, paused_at, max_running AS queue_limit,
           max_starts IS NOT NULL AS queue_rated,
           CASE WHEN max_running IS NULL THEN 0 ELSE {TAKEN} END AS queue_taken,
           coalesce((SELECT max_running FROM key_limits WHERE key = concurrency_key), 1) AS key_limit,
           CASE WHEN blocked THEN (SELECT count(*) FROM (
               SELECT FROM jobs WHERE concurrency_key = job.concurrency_key AND {HAS_PERMIT} LIMIT {COUNT_MAX}
           ) AS permits) ELSE 0 END AS key_taken,
           (SELECT at FROM job_events WHERE job_id = job.id AND seq = last_seq) AS noted_at
    FROM job LEFT JOIN queues ON name = queue
)
SELECT {_SITUATIONS.columns} FROM seen CROSS JOIN fleet CROSS JOIN past
""")


def find(connection: Connection, job_id: UUID) -> Situation | None:
    """The situation of a job; None if there is no such job.

    It begins a snapshot that only reads, so it is the first statement of a transaction (`transactions.transaction`).
    """
    return next(iter(_SITUATIONS.read(connection.execute(FIND, {"id": job_id}))), None)


_BEFORE: Final = "(rank, jobs.id) < (CAST(:rank AS timestamptz), CAST(:id AS uuid))"
_COUNT: Final = "SELECT count(*) FROM (SELECT FROM jobs WHERE {of} LIMIT :limit) AS before"
BEFORE_OF_KEY: Final = text(_COUNT.format(of=f"concurrency_key = :key AND {AT_KEY} AND {_BEFORE}"))
BEFORE: Final = text(_COUNT.format(of=f"queue = :queue AND {READY} AND rank >= :low_rank AND {_BEFORE}"))
BEFORE_OF_TYPES: Final = text(f"""
SELECT count(*) FROM (
    SELECT FROM unnest(CAST(:types AS text[])) AS known CROSS JOIN LATERAL (
        SELECT FROM jobs
        WHERE {OF_TYPE.format(queue=":queue", task_type="known")} AND rank >= :low_rank AND {_BEFORE} LIMIT :limit
    ) AS one LIMIT :limit
) AS before
""")


def before(connection: Connection, situation: Situation) -> int:
    """How many jobs are before this one in its line, counted up to COUNT_MAX.

    The line is that of the key that blocks it, or that of the queue. Jobs of task types that no worker of the queue
    knows are not in it, because claims pass them by.
    """
    parameters: dict[str, Any] = {"rank": situation.rank, "id": situation.id, "limit": COUNT_MAX}
    if situation.blocked:
        return _number(connection, BEFORE_OF_KEY, key=situation.concurrency_key, **parameters)
    if situation.rate_blocked:
        return _number(connection, rate_situations.BEFORE, key=situation.rate_key, **parameters)
    parameters |= {"queue": situation.queue, "low_rank": situation.low_rank}
    if situation.types:
        return _number(connection, BEFORE_OF_TYPES, types=situation.types, **parameters)
    return _number(connection, BEFORE, **parameters)


def _number(connection: Connection, statement: Any, **parameters: Any) -> int:
    number: int = connection.execute(statement, parameters).scalar_one()
    return number


_FIRST: Final = f"SELECT id FROM ({{among}}) AS holders ORDER BY id LIMIT {BLOCKING_MAX}"
WITH_PERMIT_OF_KEY: Final = text(
    _FIRST.format(among=f"SELECT id FROM jobs WHERE concurrency_key = :key AND {HAS_PERMIT} AND {OWNED} LIMIT 1000")
)
WITH_PERMIT: Final = text(
    _FIRST.format(
        among=f"""
    (SELECT id FROM jobs WHERE status = 'RUNNING' AND queue = :queue AND {OWNED} LIMIT 1000)
    UNION ALL
    (SELECT id FROM (
        SELECT id, queue, owner FROM jobs WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL LIMIT 1000
    ) AS stopping WHERE queue = :queue AND {OWNED})
"""
    )
)


def blocking(connection: Connection, situation: Situation, owner: str | None = None) -> tuple[UUID, ...]:
    """The oldest BLOCKING_MAX jobs that have permits of the limit that blocks this job, of an owner or of everyone."""
    if situation.blocked:
        found = connection.execute(WITH_PERMIT_OF_KEY, {"key": situation.concurrency_key, "owner": owner})
    else:
        found = connection.execute(WITH_PERMIT, {"queue": situation.queue, "owner": owner})
    return tuple(found.scalars())


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the jobs of a queue go: how long the last `ended` jobs ran on average, in seconds.

    `recent` of them ended since the job became ready, `rate` a second. `run_s` is None if there are none.
    """

    ended: int
    run_s: float | None
    recent: int
    rate: float


_PACES: Final = Rows(Pace)
# with equal type and status as conditions, the planner might read the whole history in order of id
PACE: Final = text(f"""
WITH sample AS MATERIALIZED (
    SELECT known, one.status, finished_at,
           CAST(extract(epoch FROM finished_at - started_at) AS double precision) AS run_s
    FROM unnest(CAST(:types AS text[])) AS known CROSS JOIN unnest(ARRAY['SUCCESS', 'FAILED']) AS wanted
    CROSS JOIN LATERAL (
        SELECT task_type, status, queue, started_at, finished_at FROM jobs
        WHERE (task_type, status, id) < (known, wanted, CAST('ffffffff-ffff-ffff-ffff-ffffffffffff' AS uuid))
        ORDER BY task_type DESC, status DESC, id DESC LIMIT {SAMPLE}
    ) AS one
    WHERE one.task_type = known AND one.status = wanted AND queue = :queue AND started_at IS NOT NULL
), paces AS (
    SELECT count(*) AS ended, sum(run_s) AS run_s, count(*) FILTER (WHERE finished_at > :since) AS recent,
           -- the sample may not reach back to :since
           CAST(extract(epoch FROM now() - greatest(:since, min(finished_at))) AS double precision) AS span_s
    FROM sample GROUP BY known, status
), summed AS (
    SELECT CAST(coalesce(sum(ended), 0) AS bigint) AS ended, sum(run_s) / sum(ended) AS run_s,
           CAST(coalesce(sum(recent), 0) AS bigint) AS recent,
           coalesce(sum(recent / span_s) FILTER (WHERE recent > 0 AND span_s > 0), 0) AS rate
    FROM paces
)
SELECT {_PACES.columns} FROM summed
""")


def pace(connection: Connection, situation: Situation) -> Pace:
    """How fast jobs of this queue went lately, by the newest ended jobs of each task type."""
    others = [name for name in situation.types or () if name != situation.task_type]
    parameters = {
        "types": [situation.task_type, *others][:TYPES_MAX],
        "queue": situation.queue,
        "since": situation.ready_since,
    }
    [found] = _PACES.read(connection.execute(PACE, parameters))
    return found
