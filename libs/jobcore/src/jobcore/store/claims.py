"""Claims: ready jobs become RUNNING and go to a child, in order of rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Claim
from jobcore.store import json_text
from jobcore.store.prepared import Prepared
from jobcore.store.queue_limits import LOCK_FOR_CLAIM, LOCK_KEY, TAKEN
from jobcore.store.ready_jobs import CLAIMABLE, OF_TYPE, READY, SINCE
from jobcore.store.rows import Rows
from jobcore.store.starts import COUNTED, QUEUE_PERMITS
from jobcore.store.suspects import ALONE

MOST: Final = 1000
"""The most jobs that one claim takes."""

_CLAIMS: Final = Rows(Claim, checkpoint=json_text.loads)

LEASE_HOLDS: Final = """
EXISTS (
              SELECT FROM workers WHERE id = :worker_id AND state = 'active'
              AND heartbeat_at > now() - make_interval(secs => :lease_s)
          )
"""
"""Whether the lease of the claiming worker holds."""

CLOCK: Final = "(SELECT now FROM moment)"
"""The time of a start that a rate limit counts; see store/starts.py."""

OF_QUEUE: Final = f"queue = :queue AND {READY} AND rank >= (SELECT low_rank FROM open_queue)"
"""Whether a row of `jobs` is a ready job of the queue; needs `OPEN_QUEUE`."""

MAY_START: Final = f"{CLAIMABLE} AND suspected <= :suspected"
"""Whether a ready row of `jobs` may start in the child that claims."""

CANDIDATE: Final = """
id, rank, task_type = ANY(:types){only} AS known, task_type = ANY(:background){only} AND suspected = 0 AS background,
task_type = ANY(:quick){only} AND crashes = 0 AND losses = 0 AND suspected = 0 AS quick
"""
"""The columns of the CTE `candidates`, the jobs that a claim may take; `{only}` is a further condition.

What is neither quick nor in the background is claimed alone."""

UNCOUNTED: Final = " AND rate_key IS NULL"
"""Whether no rate limit counts the start of a row of `jobs`, unless its queue has one."""

OPEN_QUEUE: Final = f"""
open_queue AS MATERIALIZED (
    -- `permits` is null without a limit. The lock is held, unless a limit was set between the two statements
    SELECT low_rank, max_starts IS NOT NULL AS rated,
           CASE WHEN max_running IS NOT NULL THEN CASE WHEN pg_try_advisory_xact_lock({LOCK_KEY})
               THEN greatest(0, max_running - {TAKEN}) ELSE 0 END END AS permits
    FROM queues WHERE name = :queue AND NOT paused
)
"""
"""A CTE: where the queue's jobs begin, whether it has a rate limit, and how many may run. A paused queue has no row."""

OPEN_RATED_QUEUE: Final = f"""
moment AS MATERIALIZED (SELECT clock_timestamp() AS now), open_queue AS MATERIALIZED (
    SELECT low_rank, max_starts IS NOT NULL AS rated,
           CASE WHEN coalesce(max_running, max_starts) IS NOT NULL THEN CASE WHEN pg_try_advisory_xact_lock({LOCK_KEY})
               THEN least(CASE WHEN max_running IS NOT NULL THEN greatest(0, max_running - {TAKEN}) END,
                          {QUEUE_PERMITS.format(now=CLOCK)}) ELSE 0 END END AS permits
    FROM queues WHERE name = :queue AND NOT paused
)
"""
"""`OPEN_QUEUE` with the permits of the rate limit, and a CTE for `CLOCK`."""

CLAIMED: Final = f"""
ordered AS MATERIALIZED (
    SELECT id, row_number() OVER w AS number, known,
           bool_and(quick OR background) OVER w
           AND count(*) FILTER (WHERE NOT background) OVER w <= :limit
           AND count(*) FILTER (WHERE NOT quick) OVER w <= :room AS fits
    FROM candidates WINDOW w AS (ORDER BY rank, id)
), claimed AS (
    UPDATE jobs SET
        status = 'RUNNING', ready = false, fence = fence + 1, attempt = attempt + 1, worker_id = :worker_id,
        slot = :slot, started_at = {{now}}, last_seq = last_seq + 1
    WHERE id = ANY(ARRAY(SELECT id FROM ordered WHERE number = 1 AND known OR fits))
    RETURNING id, fence, task_type, queue, {json_text.stored("input")} AS input, attempt,
              attempt - earlier_attempts - crashes - losses AS tries, max_attempts, timeout_s,
              {json_text.stored("checkpoint", changes=True)} AS checkpoint, traceparent, last_seq AS seq,
              started_at AS claimed_at, retry, refusals, output_bytes, suspected, rank, rate_key, owner, sealed,
              CASE WHEN fence = attempt THEN
                  CAST(extract(epoch FROM {{now}} - {SINCE.format(attempts=1)}) AS double precision) END AS ready_s
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, seq, claimed_at, attempt, 'state', jsonb_build_object('status', 'RUNNING', 'worker_id', :worker_id)
    FROM claimed
){{counted}}
SELECT {_CLAIMS.columns},
       coalesce((SELECT permits FROM open_queue) > (SELECT count(*) FROM claimed), true) AND EXISTS (
           SELECT FROM jobs WHERE {OF_QUEUE} AND id NOT IN (SELECT id FROM claimed)
       ) AS more
"""
"""CTEs and columns: claims jobs of `candidates`, returns them, and whether more are ready.

`{now}` is the time of the start, `{counted}` what writes it for rate limits."""

PARAMETERS: Final = {
    "queue": "text",
    "worker_id": "uuid",
    "slot": "smallint",
    "limit": "integer",
    "room": "integer",
    "quick": "text[]",
    "background": "text[]",
    "types": "text[]",
    "suspected": "integer",
    "lease_s": "double precision",
}

# Generic plans are kept while tables grow. So no table is joined: rows are looked up by key, in an array or one by one,
# where no other plan exists. In an empty table a partial index looks as cheap as the key, and would be read as a whole.
#
# Every claim uses CLAIM. If the first job of the queue is of a type that the worker does not know, or a rate limit
# counts its start, CLAIM takes nothing and returns a row without an id.
CLAIM: Final = Prepared(
    "claim",
    f"""
WITH {OPEN_QUEUE}, first AS MATERIALIZED (
    SELECT task_type = ANY(:types){UNCOUNTED} AND NOT (SELECT rated FROM open_queue) AS known,
           task_type = ANY(:background) AS background
    FROM jobs WHERE {OF_QUEUE} AND {MAY_START} ORDER BY rank, id LIMIT 1
), candidates AS MATERIALIZED (
    SELECT * FROM (
        SELECT {CANDIDATE.format(only=UNCOUNTED)} FROM jobs
        WHERE {OF_QUEUE} AND {MAY_START} AND {LEASE_HOLDS} AND (SELECT known FROM first)
        ORDER BY rank, id
        -- the planner assumes that an unknown limit is a tenth of all rows
        LIMIT {MOST}
        FOR UPDATE SKIP LOCKED
    ) AS head
    LIMIT least(
        CASE WHEN (SELECT background FROM first) THEN greatest(:limit, :room) ELSE :limit END,
        (SELECT permits FROM open_queue))
), {CLAIMED.format(now="now()", counted="")}
FROM (SELECT FROM first WHERE NOT known) AS unknown FULL JOIN claimed ON true ORDER BY rank, id
""",
    first=LOCK_FOR_CLAIM,
    **PARAMETERS,
)

_OF_TYPE: Final = OF_TYPE.format(queue=":queue", task_type="{name}")
OF_KNOWN_TYPE: Final = f"{_OF_TYPE} AND rank >= (SELECT low_rank FROM open_queue) AND {MAY_START}"
"""Whether a row of `jobs` is a ready job of the queue and of the type `{name}` that may start; needs `OPEN_QUEUE`."""

FIRST_TYPE: Final = "(SELECT name FROM firsts ORDER BY rank, id LIMIT 1)"

# Claims jobs of the type of the first job that the worker knows, up to the first job of another known type, and writes
# the starts that rate limits count. One look
# into an index for each known type finds it, so jobs of unknown types in front are not read, however many there are.
# It is a statement of its own, because PostgreSQL sets up all of a plan at each execution.
CLAIM_KNOWN: Final = Prepared(
    "claim_known",
    f"""
WITH {OPEN_RATED_QUEUE}, firsts AS MATERIALIZED (
    SELECT name, one.rank, one.id
    FROM unnest(:types) AS name CROSS JOIN LATERAL (
        SELECT rank, id FROM jobs WHERE {OF_KNOWN_TYPE.format(name="name")} ORDER BY rank, id LIMIT 1
    ) AS one
    ORDER BY one.rank, one.id LIMIT 2
), candidates AS MATERIALIZED (
    SELECT * FROM (
        SELECT {CANDIDATE.format(only="")} FROM jobs
        WHERE {OF_KNOWN_TYPE.format(name=FIRST_TYPE)} AND {LEASE_HOLDS}
          AND rank <= coalesce((SELECT rank FROM firsts ORDER BY rank, id OFFSET 1), 'infinity')
        ORDER BY rank, id
        LIMIT {MOST}
        FOR UPDATE SKIP LOCKED
    ) AS first_type
    LIMIT least(
        CASE WHEN {FIRST_TYPE} = ANY(:background) THEN greatest(:limit, :room) ELSE :limit END,
        (SELECT permits FROM open_queue))
), {CLAIMED.format(now=CLOCK, counted=f", {COUNTED}")}
FROM claimed ORDER BY rank, id
""",
    first=LOCK_FOR_CLAIM,
    **PARAMETERS,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim took, and whether more jobs are ready."""

    claims: list[Claim]
    more: bool


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
    background: Sequence[str] = (),
    room: int = 0,
    suspected: int = ALONE,
) -> Taken:
    """Claim the first ready jobs of a queue, in order of rank, as far as its limit has permits.

    Takes nothing if the lease of the worker does not hold. Takes only jobs of the `types` that the worker knows, which
    were suspected at most so often. Takes the first job whatever it is, and further ones as long as each is

    - of a `quick` task type, and has never crashed, lost its worker or been suspected: up to `limit` jobs, or
    - of a `background` task type, which run beside each other, and was never suspected: up to `room` jobs that are
      not quick.
    """
    parameters = {
        "queue": queue,
        "worker_id": worker_id,
        "slot": slot,
        "limit": limit,
        "room": room,
        "quick": list(quick),
        "background": list(background),
        "types": list(types),
        "suspected": suspected,
        "lease_s": lease_s,
    }
    found = CLAIM.execute(connection, parameters).all()
    if found and found[0].id is None:
        found = CLAIM_KNOWN.execute(connection, parameters).all()
    return Taken(_CLAIMS.read(found), bool(found and found[0].more))


HOLDS: Final = text("""
SELECT 1 FROM jobs WHERE id = :id AND fence = :fence AND worker_id = :worker_id AND status = 'RUNNING'
""")


def holds(connection: Connection, job_id: UUID, fence: int, worker_id: UUID) -> bool:
    """Whether this claim still belongs to this worker."""
    parameters = {"id": job_id, "fence": fence, "worker_id": worker_id}
    return connection.execute(HOLDS, parameters).first() is not None
