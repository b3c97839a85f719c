"""What runs say while they run: events, with the latest progress and checkpoint. Each batch is stored at most once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from jobcore.models import Batch
from jobcore.store import json_text
from jobcore.store.prepared import Prepared

APPEND: Final = Prepared(
    "append",
    """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:batches AS jsonb)) AS given (
        job_id uuid, fence bigint, number bigint, events jsonb, progress jsonb, progress_exact text,
        checkpoint jsonb, checkpoint_exact text, output_bytes bigint)
), locked AS MATERIALIZED (
    -- in order of id, so that two statements over the same jobs never deadlock
    SELECT one.job_id, coalesce(found.last_append < one.number, true) AS is_new
    FROM (SELECT job_id, fence, number FROM given ORDER BY job_id) AS one CROSS JOIN LATERAL (
        SELECT status, last_append FROM jobs WHERE jobs.id = one.job_id AND jobs.fence = one.fence FOR UPDATE
    ) AS found
    WHERE found.status = 'RUNNING'
), changed AS (
    UPDATE jobs SET
        last_append = coalesce(given.number, jobs.last_append),
        last_seq = last_seq + jsonb_array_length(given.events),
        progress = coalesce(given.progress, jobs.progress),
        progress_exact = CASE WHEN given.progress IS NULL THEN jobs.progress_exact ELSE given.progress_exact END,
        checkpoint = coalesce(given.checkpoint, jobs.checkpoint),
        checkpoint_exact = CASE WHEN given.checkpoint IS NULL THEN jobs.checkpoint_exact
                                ELSE given.checkpoint_exact END,
        output_bytes = jobs.output_bytes + given.output_bytes
    FROM given
    WHERE jobs.id = given.job_id AND jobs.id = ANY(ARRAY(SELECT job_id FROM locked WHERE is_new))
    RETURNING jobs.id, last_seq, attempt, given.events
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data, data_exact)
    SELECT id, last_seq - jsonb_array_length(events) + number,
           now() - make_interval(secs => CAST(new.value ->> 'age_s' AS double precision)),
           attempt, new.value ->> 'kind', new.value -> 'data', new.value ->> 'data_exact'
    FROM changed CROSS JOIN jsonb_array_elements(events) WITH ORDINALITY AS new (value, number)
)
SELECT job_id, changed.last_seq, now() AS at FROM locked LEFT JOIN changed ON changed.id = job_id
""",
    batches="text",
)


@dataclass(frozen=True, slots=True)
class Appended:
    """A stored batch: the seq of its last event (None if it had been stored before), and the time of the database."""

    job_id: UUID
    last_seq: int | None
    at: datetime


def append(connection: Connection, batches: Sequence[Batch]) -> dict[UUID, Appended]:
    """Append events of runs in one durable transaction, at most one batch of each job; runs that lost their claim have
    no entry.

    A batch is stored only if its number is above that of the last one of its run. So it may be sent again if it is not
    known whether it was stored. One without a number is stored each time.
    """
    rows = APPEND.execute(connection, {"batches": json_text.rows(batches)})
    return {row.job_id: Appended(row.job_id, row.last_seq, row.at) for row in rows}


def append_inside(connection: Connection, batch: Batch) -> Appended | None:
    """`append` of one batch as a part of the transaction of the caller; None if its run lost its claim."""
    row = APPEND.inside(connection, {"batches": json_text.rows([batch])}).first()
    return None if row is None else Appended(row.job_id, row.last_seq, row.at)
