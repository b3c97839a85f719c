"""Taking jobs and giving them back: claim, finish, release. Every write of a run carries its fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Connection, CursorResult, text

from jobcore.models import Change, Claim, Outcome
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.store.database import DURABLE
from jobcore.store.prepared import BY_INDEX, Prepared


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim took, and whether more was ready."""

    claims: list[Claim]
    more: bool


_SINCE: Final = """
CASE WHEN fairness_key IS NOT NULL AND attempt = {attempts} THEN greatest(run_at, created_at)
     ELSE rank + priority * interval '60 s' END
"""
READY_SINCE: Final = _SINCE.format(attempts=0)
"""When a ready row of `jobs` became ready: its rank says so, but until it has run that may be a turn."""

CLAIMABLE: Final = "(expires_at IS NULL OR expires_at > now() OR started_at IS NOT NULL)"
"""Whether a ready row of `jobs` may still start: a job expires only before its first run."""

STOPPING: Final = """
(SELECT queue FROM jobs WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL LIMIT 1000)
"""
"""The queues of runs that were cancelled and have not stopped. There are few, but the planner multiplies the cancelled
by those without a stop, and expects a part of the history: the limit is for it."""

OCCUPIED: Final = f"""(
    (SELECT count(*) FROM jobs WHERE queue = name AND status = 'RUNNING')
    + (SELECT count(*) FROM {STOPPING} AS stopping WHERE queue = name)
)"""
"""How many jobs of a row of `queues` run, or were cancelled and have not stopped: what its `max_running` counts."""

CLAIMS_OF: Final = "hashtextextended('claim:' || name, 0)"
"""The advisory lock of a row of `queues` that its claims share, and that whoever pauses or limits it takes alone."""

# Claims of a queue and a change of that queue exclude each other: once a pause or a limit is committed, no claim goes
# by what was there before. Claims of a queue without a limit share the lock. Those of a limited queue come one after
# the other, as each counts what runs, in the statement that follows: it sees what the lock waited for.
ONE_BY_ONE: Final = f"""
SELECT CASE WHEN max_running IS NULL THEN CAST(pg_advisory_xact_lock_shared({CLAIMS_OF}) AS text)
            ELSE CAST(pg_advisory_xact_lock({CLAIMS_OF}) AS text) END FROM queues WHERE name = :queue
"""

MOST: Final = 1000
"""No claim takes more jobs."""

READY: Final = f"""
queue = :queue AND status = 'PENDING' AND ready AND rank >= (SELECT low_rank FROM room)
          AND {CLAIMABLE}
"""
OF_TYPE: Final = """
ARRAY[queue, jobs.task_type] = ARRAY[{queue}, {task_type}] AND CASE WHEN ready THEN status END = 'PENDING'
"""
"""Whether a row of `jobs` is ready, of a queue and a task type.

Written as the index `jobs_ready_by_type` has it, so that no other index can be chosen, whatever statistics say: those
taken before a burst of jobs was committed say that each index of ready jobs is empty."""
READY_OF_TYPE: Final = READY.replace(
    "queue = :queue AND status = 'PENDING' AND ready", OF_TYPE.format(queue=":queue", task_type="{name}")
)
LIVE: Final = """
EXISTS (
              SELECT FROM workers WHERE id = :worker_id AND state = 'active'
              AND heartbeat_at > now() - make_interval(secs => :lease_s)
          )
"""
HEAD: Final = """
id, rank, task_type = ANY(:types) AS known, task_type = ANY(:quick) AND crashes = 0 AND losses = 0 AS quick
"""

ROOM: Final = f"""
room AS MATERIALIZED (
    -- `permits` is null without a limit. The lock is held but for a limit that came between the two statements
    SELECT low_rank, CASE WHEN max_running IS NOT NULL THEN CASE WHEN pg_try_advisory_xact_lock({CLAIMS_OF})
        THEN greatest(0, max_running - {OCCUPIED}) ELSE 0 END END AS permits
    FROM queues WHERE name = :queue AND NOT paused
)
"""
CLAIMED: Final = f"""
ordered AS MATERIALIZED (
    SELECT id, row_number() OVER w AS number, known, bool_and(quick) OVER w AS quick
    FROM due WINDOW w AS (ORDER BY rank, id)
), claimed AS (
    UPDATE jobs SET
        status = 'RUNNING', ready = false, fence = fence + 1, attempt = attempt + 1, worker_id = :worker_id,
        slot = :slot, started_at = now(), last_seq = last_seq + 1
    WHERE id = ANY(ARRAY(SELECT id FROM ordered WHERE number = 1 AND known OR quick))
    RETURNING id, fence, task_type, queue, {json_text.stored("input")} AS input, attempt,
              attempt - earlier_attempts - crashes - losses AS tries, max_attempts, timeout_s,
              {json_text.stored("checkpoint", changes=True)} AS checkpoint, traceparent, last_seq, started_at, retry,
              refusals, rank,
              CASE WHEN fence = attempt THEN
                  CAST(extract(epoch FROM now() - {_SINCE.format(attempts=1)}) AS double precision) END AS ready_s
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, started_at, attempt, 'state', jsonb_build_object('status', 'RUNNING', 'worker_id', :worker_id)
    FROM claimed
)
SELECT id, fence, task_type, queue, input, attempt, tries, max_attempts, timeout_s, checkpoint, traceparent, last_seq,
       started_at, ready_s, retry, refusals,
       coalesce((SELECT permits FROM room) > (SELECT count(*) FROM claimed), true) AND EXISTS (
           SELECT FROM jobs
           WHERE queue = :queue AND status = 'PENDING' AND ready AND rank >= (SELECT low_rank FROM room)
             AND id NOT IN (SELECT id FROM claimed)
       ) AS more
"""
PARAMETERS: Final = {
    "queue": "text",
    "worker_id": "uuid",
    "slot": "smallint",
    "limit": "integer",
    "quick": "text[]",
    "types": "text[]",
    "lease_s": "double precision",
}

# Generic plans are kept while tables grow, so no table is joined: its rows are looked up by key, in an array or one by
# one, where no other plan exists. In an empty table a partial index looks as cheap as the key: it would be read whole.
#
# CLAIM is what every claim takes where all workers know all types. It takes nothing if the first job of the queue is
# of a type that this worker does not know, and says so by a row without an id.
CLAIM: Final = Prepared(
    "claim",
    f"""
WITH {ROOM}, first AS MATERIALIZED (
    SELECT task_type = ANY(:types) AS known FROM jobs WHERE {READY} ORDER BY rank, id LIMIT 1
), due AS MATERIALIZED (
    SELECT * FROM (
        SELECT {HEAD} FROM jobs WHERE {READY} AND {LIVE} AND (SELECT known FROM first)
        ORDER BY rank, id
        -- the planner takes an unknown limit for a tenth of all there are
        LIMIT {MOST}
        FOR UPDATE SKIP LOCKED
    ) AS head
    LIMIT least(:limit, (SELECT permits FROM room))
), {CLAIMED}
FROM (SELECT FROM first WHERE NOT known) AS stranger FULL JOIN claimed ON true ORDER BY rank, id
""",
    first=ONE_BY_ONE,
    planner=BY_INDEX,
    **PARAMETERS,
)
# Takes the first job of those that this worker knows, found by one look at an index for each of its types: the jobs in
# front, however many, are not read. It is a statement of its own, as PostgreSQL sets up the whole of a plan each time.
CLAIM_BEHIND: Final = Prepared(
    "behind",
    f"""
WITH {ROOM}, firsts AS MATERIALIZED (
    SELECT name, one.rank, one.id
    FROM unnest(:types) AS name CROSS JOIN LATERAL (
        SELECT rank, id FROM jobs WHERE {READY_OF_TYPE.format(name="name")} ORDER BY rank, id LIMIT 1
    ) AS one
    ORDER BY one.rank, one.id LIMIT 2
), due AS MATERIALIZED (
    SELECT * FROM (
        SELECT {HEAD} FROM jobs
        WHERE {READY_OF_TYPE.format(name="(SELECT name FROM firsts ORDER BY rank, id LIMIT 1)")} AND {LIVE}
          AND rank <= coalesce((SELECT rank FROM firsts ORDER BY rank, id OFFSET 1), 'infinity')
        ORDER BY rank, id
        LIMIT {MOST}
        FOR UPDATE SKIP LOCKED
    ) AS first_type
    LIMIT least(:limit, (SELECT permits FROM room))
), {CLAIMED}
FROM claimed ORDER BY rank, id
""",
    first=ONE_BY_ONE,
    planner=BY_INDEX,
    **PARAMETERS,
)
CHECKPOINT: Final = 9
"""Its place in a row of CLAIM."""


def claim(
    connection: Connection,
    *,
    queue: str,
    worker_id: UUID,
    slot: int,
    limit: int,
    quick: Sequence[str],
    types: Sequence[str],
    lease_s: float,
) -> Taken:
    """Take the first due jobs of a queue, in rank order, and no more than its limit leaves permits for.

    None also when this worker's own lease is not fresh. Only jobs of the `types` that the worker knows are taken. The
    first one is taken whatever it is; up to `limit` jobs only as long as all of them are of `quick` task types and
    never crashed or lost their worker.
    """
    parameters = {
        "queue": queue,
        "worker_id": worker_id,
        "slot": slot,
        "limit": limit,
        "quick": list(quick),
        "types": list(types),
        "lease_s": lease_s,
    }
    found = CLAIM.execute(connection, parameters).all()
    if found and found[0][0] is None:
        found = CLAIM_BEHIND.execute(connection, parameters).all()
    return Taken([_claim(row[:-1]) for row in found], bool(found and found[0][-1]))


def _claim(row: Sequence[Any]) -> Claim:
    values = list(row)
    values[CHECKPOINT] = json_text.loads(values[CHECKPOINT])
    return Claim(*values)


LOW_RANK: Final = """
lowered AS (
    -- rows that come back keep an old rank: the low-water rank must not lie above it (see store/queues.py)
    UPDATE queues SET low_rank = least(low_rank, (SELECT min(rank) FROM changed WHERE ready AND queue = name))
    WHERE name = ANY(ARRAY(SELECT DISTINCT queue FROM changed WHERE ready))
)
"""

CHANGE: Final = """
SELECT id, queue, status, ready, last_seq, attempt, at, data, task_type, concurrency_key,
       (SELECT max_running IS NOT NULL FROM queues WHERE name = queue) AS limited
FROM changed
"""

FINISH: Final = Prepared(
    "finish",
    f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS given (
        id uuid, fence bigint, status text, result jsonb, error jsonb, retry_s double precision, progress jsonb,
        events jsonb, refused boolean, result_exact text, progress_exact text)
), locked AS MATERIALIZED (
    -- in order of id, so that two statements over the same jobs never deadlock
    SELECT one.id, found.status FROM (SELECT id, fence FROM given ORDER BY id) AS one CROSS JOIN LATERAL (
        SELECT status FROM jobs WHERE jobs.id = one.id AND jobs.fence = one.fence FOR UPDATE
    ) AS found
), changed AS (
    UPDATE jobs SET
        status = given.status,
        ready = given.status = 'PENDING' AND given.retry_s <= 0,
        run_at = CASE WHEN given.status = 'PENDING' THEN now() + make_interval(secs => given.retry_s) ELSE run_at END,
        rank = CASE WHEN given.status = 'PENDING' THEN now() - priority * interval '60 s' ELSE rank END,
        result = CASE WHEN given.status = 'SUCCESS' THEN given.result END,
        result_exact = CASE WHEN given.status = 'SUCCESS' THEN given.result_exact END,
        error = given.error,
        progress = coalesce(given.progress, jobs.progress),
        progress_exact = CASE WHEN given.progress IS NULL THEN jobs.progress_exact ELSE given.progress_exact END,
        attempt = attempt - CAST(given.refused AS integer),
        refusals = CASE WHEN given.refused THEN refusals + 1 ELSE 0 END,
        worker_id = CASE WHEN given.status = 'PENDING' THEN NULL ELSE worker_id END,
        slot = CASE WHEN given.status = 'PENDING' THEN NULL ELSE slot END,
        finished_at = CASE WHEN given.status = 'PENDING' THEN NULL ELSE now() END,
        last_seq = last_seq + jsonb_array_length(given.events) + 1
    FROM given
    WHERE jobs.id = given.id AND jobs.fence = given.fence
      AND jobs.id = ANY(ARRAY(SELECT id FROM locked WHERE status = 'RUNNING'))
    RETURNING jobs.id, task_type, queue, concurrency_key, jobs.status, ready, last_seq, attempt, now() AS at,
        jobs.rank, given.events,
        jsonb_strip_nulls(jsonb_build_object(
            'status', jobs.status, 'error', jobs.error, 'reason', CASE WHEN given.refused THEN 'handed_back' END,
            'run_at', CASE WHEN jobs.status = 'PENDING' THEN run_at END)) AS data
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data, data_exact)
    SELECT id, last_seq, at, attempt, 'state', data, NULL FROM changed
    UNION ALL
    SELECT id, last_seq - 1 - jsonb_array_length(events) + number,
           at - make_interval(secs => CAST(new.value ->> 'age_s' AS double precision)),
           attempt, new.value ->> 'kind', new.value -> 'data', new.value ->> 'data_exact'
    FROM changed CROSS JOIN jsonb_array_elements(events) WITH ORDINALITY AS new (value, number)
), {LOW_RANK}
{CHANGE}
""",
    planner=BY_INDEX,
    outcomes="text",
)


def finish(connection: Connection, outcomes: Sequence[Outcome]) -> list[Change]:
    """Store how runs ended, with their last events; those whose claim was lost meanwhile are left out."""
    return changes(FINISH.execute(connection, {"outcomes": json_text.rows(outcomes)}))


Cause = Literal["handed_back", "crash", "loss", "timeout"]


@dataclass(frozen=True, slots=True)
class Release:
    """A claim that ends without an outcome, and why.

    `handed_back`: never started, or stopped by a deploy; the try is given back and the place in the queue kept.
    `crash`: the job's own process died while it ran. `loss`: its worker was lost through no fault of the job.
    `timeout`: it was killed because it ran too long; a try that counts.
    """

    id: UUID
    fence: int
    cause: Cause


RELEASE: Final = text(
    DURABLE
    + f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:releases AS jsonb)) AS given (id uuid, fence bigint, cause text)
), locked AS MATERIALIZED (
    SELECT jobs.id, given.cause,
           jobs.crashes + CAST(given.cause = 'crash' AS integer) AS crashes,
           jobs.losses + CAST(given.cause = 'loss' AS integer) AS losses
    FROM jobs JOIN given ON given.id = jobs.id AND given.fence = jobs.fence
    WHERE jobs.status = 'RUNNING' ORDER BY jobs.id FOR UPDATE OF jobs
), decided AS (
    SELECT locked.*, CASE locked.cause
        WHEN 'crash' THEN locked.crashes >= :max_crashes
        WHEN 'loss' THEN locked.losses >= :max_losses
        WHEN 'timeout' THEN
            jobs.attempt - jobs.earlier_attempts - jobs.crashes - jobs.losses >= jobs.max_attempts
        ELSE false END AS final
    FROM locked JOIN jobs ON jobs.id = locked.id
), changed AS (
    UPDATE jobs SET
        status = CASE WHEN final THEN 'FAILED' ELSE 'PENDING' END,
        ready = NOT final,
        rank = CASE WHEN cause = 'handed_back' THEN rank ELSE now() - priority * interval '60 s' END,
        attempt = attempt - CAST(cause = 'handed_back' AS integer),
        crashes = decided.crashes,
        losses = decided.losses,
        worker_id = CASE WHEN final THEN worker_id END,
        slot = CASE WHEN final THEN slot END,
        finished_at = CASE WHEN final THEN now() END,
        error = CASE WHEN final THEN jsonb_build_object(
            'kind', CASE cause WHEN 'timeout' THEN 'timeout' ELSE 'worker_lost' END,
            'type', CASE cause WHEN 'timeout' THEN 'TimeoutError' ELSE 'WorkerLost' END,
            'attempt', attempt,
            'message', CASE cause
                WHEN 'crash' THEN format('its process died %s times while running it', decided.crashes)
                WHEN 'loss' THEN format('its worker was lost %s times', decided.losses)
                ELSE format('it ran longer than %s s and had to be killed', timeout_s) END) END,
        last_seq = last_seq + 1
    FROM decided
    WHERE jobs.id = decided.id
    RETURNING jobs.id, task_type, queue, concurrency_key, status, ready, last_seq, attempt, now() AS at, jobs.rank,
        jsonb_strip_nulls(jsonb_build_object('status', status, 'reason', cause, 'error', error)) AS data
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
), {LOW_RANK}
{CHANGE}
"""
)


def release(connection: Connection, releases: Sequence[Release], *, max_crashes: int, max_losses: int) -> list[Change]:
    """RUNNING → PENDING, or FAILED past a limit of crashes, losses or tries; claims that ended before are left out."""
    if not releases:
        return []
    parameters = {
        "releases": json_text.rows(releases),
        "max_crashes": max_crashes,
        "max_losses": max_losses,
    }
    return changes(connection.execute(RELEASE, parameters))


HOLDS: Final = text("""
SELECT 1 FROM jobs WHERE id = :id AND fence = :fence AND worker_id = :worker_id AND status = 'RUNNING'
""")


def holds(connection: Connection, job_id: UUID, fence: int, worker_id: UUID) -> bool:
    """True if this claim is still this worker's."""
    parameters = {"id": job_id, "fence": fence, "worker_id": worker_id}
    return connection.execute(HOLDS, parameters).first() is not None


def changes(rows: CursorResult[Any]) -> list[Change]:
    """Read the rows that `CHANGE` selects."""
    return [Change(row[0], row[1], Status(row[2]), *row[3:]) for row in rows.all()]
