"""Jobs as clients see them: accepted, found, cancelled and retried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from jobcore.errors import DedupeKeyTaken
from jobcore.models import Accepted, Change, Job, NewJob
from jobcore.store import changes, failures, fair_turns, files, input_files, job_rows, json_text, limits, ready_jobs
from jobcore.store.changes import SELECT_CHANGES
from jobcore.store.low_ranks import LOWER
from jobcore.store.prepared import Prepared
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

SUMMARY: Final = f"""
    id, task_type, queue, priority, status, run_at, expires_at, timeout_s, CAST(error AS text) AS error, tags,
    {json_text.stored("metadata")} AS metadata, fence, attempt,
    attempt - earlier_attempts - crashes - losses AS tries, max_attempts, CAST(retry AS text) AS retry,
    {json_text.stored("progress", changes=True)} AS progress, last_seq,
    cancel_requested_at, cancel_acknowledged_at, cancel_stopped_at, cancel_method, traceparent,
    created_at, started_at, finished_at, concurrency_key, rate_key, fairness_key, schedule_id, scheduled_for,
    dedupe_key, owner, CAST(webhook AS text) AS webhook,
    {ready_jobs.DUE_AT} AS due_at,
    CASE WHEN attempt < 2 THEN started_at ELSE (
        SELECT at FROM job_events WHERE job_id = jobs.id AND kind = 'state' AND data ->> 'status' = 'RUNNING'
        ORDER BY seq LIMIT 1
    ) END AS first_started_at
"""
"""The columns of a `Job` without its input and result."""

PARSED: Final = ("error", "metadata", "retry", "progress", "webhook")
"""The columns of `SUMMARY` that are JSON texts, and that a `Job` has as values."""

ACCEPTED: Final = Rows(Accepted)

INTAKES: Final = 0x6C6F6E67_01
"""The key of the advisory lock that all who add jobs to queues share. Whoever forgets queues takes it alone."""

GIVEN: Final = """
    SELECT *, coalesce(run_at, now() + make_interval(secs => coalesce(delay_s, 0))) AS due
    FROM jsonb_to_recordset(CAST(:jobs AS jsonb)) AS sent (
        id uuid, task_type text, queue text, priority smallint, run_at timestamptz, delay_s double precision,
        expires_at timestamptz, timeout_s double precision, input jsonb, max_attempts integer, tags text[],
        metadata jsonb, traceparent text, concurrency_key text, fairness_key text, retry jsonb,
        input_exact text, metadata_exact text, rate_key text,
        schedule_id uuid, scheduled_for timestamptz, dedupe_key text, owner text, webhook jsonb, sealed text)
"""
"""The jobs of the parameter `:jobs`, each with the time at which it is due."""

LIVE: Final = "dedupe_key IS NOT NULL AND status IN ('PENDING', 'RUNNING')"
"""The condition of the index `LIVE_INDEX`."""
LIVE_INDEX: Final = "jobs_live_by_dedupe_key"


def accepting(*, or_nothing: bool = False) -> str:
    """SQL that makes jobs of the rows of `given` and ends with the CTEs `accepted` and `event`.

    With `or_nothing`, a job whose dedupe key has a live job is left out; otherwise that is an error.
    """
    # Tables are read row by row, by key, and never joined; only the given rows are joined with each other.
    or_skip = f"ORDER BY owner, dedupe_key, id ON CONFLICT (dedupe_key) WHERE {LIVE} DO NOTHING" if or_nothing else ""
    return f"""
queue AS (
    INSERT INTO queues (name)
    SELECT DISTINCT queue FROM given ORDER BY queue
    ON CONFLICT (name) DO NOTHING
), urgent AS MATERIALIZED (
    SELECT queue, now() - max(priority) * interval '60 s' AS rank
    FROM given WHERE priority > 0 AND due <= now() GROUP BY queue
), lowered AS (
    -- only a priority can put a rank below the low-water rank (see store/low_ranks.py)
    UPDATE queues SET low_rank = least(low_rank, (SELECT rank FROM urgent WHERE urgent.queue = name))
    WHERE name = ANY(ARRAY(SELECT queue FROM urgent))
), {fair_turns.turns("given WHERE due <= now()")}, accepted AS (
    INSERT INTO jobs (id, task_type, queue, priority, rank, status, ready, run_at, expires_at, timeout_s, input,
                      max_attempts, tags, metadata, traceparent, concurrency_key, fairness_key, gate, retry,
                      schedule_id, scheduled_for, dedupe_key, input_exact, metadata_exact, rate_key, rate_blocked,
                      owner, webhook, sealed, counted_bytes)
    SELECT id, task_type, queue, priority, coalesce(turn.at, now()) - priority * interval '60 s', 'PENDING',
           due <= now() AND coalesce(concurrency_key, rate_key) IS NULL, due, expires_at, timeout_s, input,
           max_attempts, tags, metadata, traceparent, concurrency_key, fairness_key,
           CASE WHEN due <= now() AND coalesce(concurrency_key, rate_key) IS NOT NULL THEN 'key' END, retry,
           schedule_id, scheduled_for, dedupe_key, input_exact, metadata_exact, rate_key, {limits.BY_RATE},
           owner, webhook, sealed,
           CASE WHEN owner IS NOT NULL THEN octet_length(coalesce(sealed, CAST(input AS text))) END
    FROM given LEFT JOIN turn USING (id) {or_skip}
    RETURNING id, queue, created_at, ready, traceparent, gate AS blocked_by, concurrency_key, rate_key
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, 1, created_at, 0, 'state', '{{"status": "PENDING"}}' FROM accepted
)"""


LOCK_INTAKES: Final = f"SELECT pg_advisory_xact_lock_shared({INTAKES})"

INSERT: Final = Prepared(
    "accept",
    f"""
WITH given AS MATERIALIZED ({GIVEN}), {accepting()}
SELECT {ACCEPTED.columns} FROM accepted
""",
    first=LOCK_INTAKES,
    jobs="text",
)


def insert(connection: Connection, jobs: Sequence[NewJob]) -> list[Accepted]:
    """Accept jobs with their first events in one durable transaction, all of them or none."""
    return ACCEPTED.read(INSERT.execute(connection, {"jobs": job_rows.rows(jobs)}))


def insert_inside(connection: Connection, jobs: Sequence[NewJob]) -> list[Accepted]:
    """`insert` as a part of the transaction of the caller."""
    return ACCEPTED.read(INSERT.inside(connection, {"jobs": job_rows.rows(jobs)}))


FIND: Final = text(f"""
SELECT {ACCEPTED.columns} FROM (SELECT *, gate AS blocked_by FROM jobs WHERE id = ANY(:ids)) AS found
""")


def find(connection: Connection, ids: Sequence[UUID]) -> list[Accepted]:
    """Those of these jobs that exist, which tells what an `insert` without a reply has committed."""
    return ACCEPTED.read(connection.execute(FIND, {"ids": list(ids)}))


GET: Final = text(
    f"SELECT {SUMMARY}, {json_text.stored('input')} AS input, {json_text.stored('result')} AS result,"
    f" ({files.AS_JSON}) AS files, ({input_files.AS_JSON}) AS input_files FROM jobs WHERE id = :id"
)


def get(connection: Connection, job_id: UUID) -> Job | None:
    """The job with its input, result and all files; None if there is none."""
    row = connection.execute(GET, {"id": job_id}).mappings().first()
    return from_row(row) if row else None


def from_row(row: Mapping[Any, Any]) -> Job:
    """The job of a row with the columns of `SUMMARY`."""
    return Job.from_row({**row, **{name: json_text.loads(row[name]) for name in PARSED}})


CANCELLING: Final = """
changed AS (
    UPDATE jobs SET
        status = 'CANCELLED', ready = false, gate = NULL, finished_at = now(), last_seq = last_seq + 1,
        cancel_requested_at = now(),
        cancel_acknowledged_at = CASE WHEN found.status = 'PENDING' THEN now() END,
        cancel_stopped_at = CASE WHEN found.status = 'PENDING' THEN now() END,
        cancel_method = CASE WHEN found.status = 'PENDING' THEN 'queued' END
    FROM found
    WHERE jobs.id = found.id AND found.status IN ('PENDING', 'RUNNING')
    RETURNING jobs.id, queue, jobs.status, ready, last_seq, attempt, cancel_requested_at AS at, jsonb_build_object(
        'status', 'CANCELLED', 'cancel', jsonb_build_object('requested_at', cancel_requested_at,
        'acknowledged_at', cancel_acknowledged_at, 'stopped_at', cancel_stopped_at, 'method', cancel_method)) AS data,
        task_type, concurrency_key
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
)
"""
"""CTEs: cancel the locked jobs of the CTE `found`, with their statuses."""

CANCEL: Final = text(f"""{DURABLE}
WITH found AS MATERIALIZED (SELECT id, status FROM jobs WHERE id = :id FOR UPDATE), {CANCELLING}
{SELECT_CHANGES}
""")


def cancel(connection: Connection, job_id: UUID) -> Change | None:
    """PENDING or RUNNING → CANCELLED; None if there is no such job, or it has ended."""
    return next(iter(changes.read(connection.execute(CANCEL, {"id": job_id}))), None)


RETRYABLE: Final = "(status = 'FAILED' OR status = 'CANCELLED' AND cancel_stopped_at IS NOT NULL)"
"""Whether a client may retry a row of `jobs`, as far as its status tells."""

RETRIED: Final = f"""
id, cancel_requested_at, cancel_acknowledged_at, cancel_stopped_at, cancel_method, {limits.BLOCKED_BY} AS next
"""
"""The columns of a row of `jobs` that `RETRYING` needs."""

RETRYING: Final = f"""
changed AS (
    UPDATE jobs SET
        status = 'PENDING', ready = next IS NULL, gate = next, rate_blocked = {limits.BY_RATE},
        run_at = now(), rank = now() - priority * interval '60 s',
        expires_at = CASE WHEN expires_at > now() THEN expires_at END, finished_at = NULL,
        earlier_attempts = attempt, crashes = 0, losses = 0, suspected = 0, refusals = 0,
        worker_id = NULL, slot = NULL,
        cancel_requested_at = NULL, cancel_acknowledged_at = NULL, cancel_stopped_at = NULL, cancel_method = NULL,
        last_seq = last_seq + 1
    FROM found WHERE jobs.id = found.id
    RETURNING jobs.id, task_type, queue, concurrency_key, status, ready, last_seq, attempt, now() AS at, rank,
        -- the next cancel overwrites the receipt of the row, so the event keeps it
        jsonb_build_object('status', status, 'reason', 'manual') || CASE WHEN found.cancel_requested_at IS NULL
            THEN '{{}}' ELSE jsonb_build_object('cancelled', jsonb_build_object(
                'requested_at', found.cancel_requested_at, 'acknowledged_at', found.cancel_acknowledged_at,
                'stopped_at', found.cancel_stopped_at, 'method', found.cancel_method)) END AS data
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, last_seq, at, attempt, 'state', data FROM changed
), known AS (
    INSERT INTO queues (name) SELECT DISTINCT queue FROM changed ORDER BY queue ON CONFLICT (name) DO NOTHING
), {LOWER}
"""
"""CTEs: make the locked jobs of the CTE `found` PENDING; it has the columns `RETRIED`."""

RETRY: Final = text(f"""{DURABLE}
{LOCK_INTAKES};
WITH found AS MATERIALIZED (SELECT {RETRIED} FROM jobs WHERE id = :id AND {RETRYABLE} FOR UPDATE), {RETRYING}
{SELECT_CHANGES}
""")


def retry(connection: Connection, job_id: UUID) -> Change | None:
    """FAILED or CANCELLED → PENDING, at the back of its queue; its tries, crashes and losses count from 0 again.

    None if there is no such job, it has another status, or it was cancelled and its run has not stopped. Raises
    DedupeKeyTaken if another job with its dedupe key is live.
    """
    try:
        return next(iter(changes.read(connection.execute(RETRY, {"id": job_id}))), None)
    except IntegrityError as error:
        if failures.constraint(error) == LIVE_INDEX:
            raise DedupeKeyTaken(
                "another task with its dedupe_key is PENDING or RUNNING: retry this one once that has ended"
            ) from error
        raise
