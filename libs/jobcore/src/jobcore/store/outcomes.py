"""The outcomes of runs: a result, an error, or another try. Each write carries the fence of its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from jobcore.models import Change, Outcome
from jobcore.store import changes, json_text
from jobcore.store.changes import SELECT_CHANGES
from jobcore.store.limits import BLOCKED_FOR_START
from jobcore.store.low_ranks import LOWER
from jobcore.store.prepared import Prepared

FINISH: Final = Prepared(
    "finish",
    f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS given (
        id uuid, fence bigint, status text, result jsonb, error jsonb, retry_s double precision, progress jsonb,
        events jsonb, refused boolean, result_exact text, progress_exact text, output_bytes bigint)
), locked AS MATERIALIZED (
    -- in order of id, so that two statements over the same jobs never deadlock
    SELECT one.id, found.status FROM (SELECT id, fence FROM given ORDER BY id) AS one CROSS JOIN LATERAL (
        SELECT status FROM jobs WHERE jobs.id = one.id AND jobs.fence = one.fence FOR UPDATE
    ) AS found
), changed AS (
    UPDATE jobs SET
        status = given.status,
        ready = given.status = 'PENDING' AND given.retry_s <= 0 AND rate_key IS NULL,
        {BLOCKED_FOR_START.format(waits="given.status = 'PENDING' AND given.retry_s <= 0")},
        run_at = CASE WHEN given.status = 'PENDING' THEN now() + make_interval(secs => given.retry_s) ELSE run_at END,
        rank = CASE WHEN given.status = 'PENDING' THEN now() - priority * interval '60 s' ELSE rank END,
        result = CASE WHEN given.status = 'SUCCESS' THEN given.result END,
        result_exact = CASE WHEN given.status = 'SUCCESS' THEN given.result_exact END,
        counted_bytes = CASE WHEN jobs.counted_bytes IS NOT NULL THEN jobs.counted_bytes + CASE
            WHEN given.status = 'SUCCESS' THEN coalesce(octet_length(CAST(given.result AS text)), 0) ELSE 0 END END,
        error = given.error,
        progress = coalesce(given.progress, jobs.progress),
        progress_exact = CASE WHEN given.progress IS NULL THEN jobs.progress_exact ELSE given.progress_exact END,
        output_bytes = jobs.output_bytes + given.output_bytes,
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
), {LOWER}
{SELECT_CHANGES}
""",
    outcomes="text",
)


def finish(connection: Connection, outcomes: Sequence[Outcome]) -> list[Change]:
    """Store outcomes of runs with their last events, and return the transitions. Runs that lost their claim have none.

    RUNNING → SUCCESS or FAILED, or PENDING for another try.
    """
    return changes.read(FINISH.execute(connection, {"outcomes": json_text.rows(outcomes)}))
