"""The events of a job: rows of `job_events`, read by a cursor, `seq`, which has no gaps within a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Event, NewEvent
from jobcore.store import json_text
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_EVENTS: Final = Rows(Event, data=json_text.loads)

AFTER: Final = text(f"""
SELECT seq, at, attempt, kind, {json_text.stored("data")} AS data FROM job_events
WHERE job_id = :job_id AND seq > :after ORDER BY seq LIMIT :limit
""")


def after(connection: Connection, job_id: UUID, seq: int, limit: int = 500) -> list[Event]:
    """The first `limit` events after the cursor `seq`, in order; [] if the job does not exist."""
    return _EVENTS.read(connection.execute(AFTER, {"job_id": job_id, "after": seq, "limit": limit}))


LOGS: Final = text(f"""
SELECT seq, at, attempt, kind, {json_text.stored("data")} AS data FROM job_events
WHERE job_id = :job_id AND seq > :after AND kind = 'log' ORDER BY seq LIMIT :limit
""")


def logs(connection: Connection, job_id: UUID, seq: int, limit: int) -> list[Event]:
    """The first `limit` log lines after the cursor `seq`, in order; [] if the job does not exist."""
    return _EVENTS.read(connection.execute(LOGS, {"job_id": job_id, "after": seq, "limit": limit}))


OUTPUT: Final = text(f"""
SELECT seq, at, attempt, kind, {json_text.stored("data")} AS data FROM job_events
WHERE job_id = :job_id AND seq > :after AND kind = 'output' ORDER BY seq LIMIT :limit
""")


def output(connection: Connection, job_id: UUID, seq: int, limit: int) -> list[Event]:
    """The first `limit` pieces of output after the cursor `seq`, in order; [] if the job does not exist."""
    return _EVENTS.read(connection.execute(OUTPUT, {"job_id": job_id, "after": seq, "limit": limit}))


@dataclass(frozen=True, slots=True)
class Appended:
    """The seq of the last appended event, and the time of the database."""

    last_seq: int
    at: datetime


APPEND: Final = text(
    DURABLE
    + """
WITH claimed AS (
    UPDATE jobs SET
        last_seq = last_seq + jsonb_array_length(CAST(:events AS jsonb)),
        progress = coalesce(CAST(:progress AS jsonb), progress),
        progress_exact = CASE WHEN CAST(:progress AS jsonb) IS NULL THEN progress_exact ELSE :progress_exact END,
        checkpoint = coalesce(CAST(:checkpoint AS jsonb), checkpoint),
        checkpoint_exact = CASE WHEN CAST(:checkpoint AS jsonb) IS NULL THEN checkpoint_exact
                                ELSE :checkpoint_exact END,
        output_bytes = output_bytes + :output_bytes
    WHERE id = :job_id AND fence = :fence AND status = 'RUNNING'
    RETURNING id, last_seq, attempt
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data, data_exact)
    SELECT id, last_seq - jsonb_array_length(CAST(:events AS jsonb)) + number,
           now() - make_interval(secs => CAST(new.value ->> 'age_s' AS double precision)),
           attempt, new.value ->> 'kind', new.value -> 'data', new.value ->> 'data_exact'
    FROM claimed CROSS JOIN jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS new (value, number)
)
SELECT last_seq, now() AS at FROM claimed
"""
)


def append(
    connection: Connection,
    job_id: UUID,
    fence: int,
    events: Sequence[NewEvent],
    *,
    progress: Any = None,
    checkpoint: str | None = None,
    output_bytes: int = 0,
) -> Appended | None:
    """Append events of a run, with its progress and its checkpoint (JSON text); None if the run lost its claim.

    `output_bytes` is what the output among these events counts.
    """
    progress_text = None if progress is None else json_text.dumps(progress)
    row = connection.execute(
        APPEND,
        {
            "job_id": job_id,
            "fence": fence,
            "events": json_text.rows(events),
            "progress": progress_text,
            "progress_exact": progress_text and json_text.exact(progress_text),
            "checkpoint": checkpoint,
            "checkpoint_exact": checkpoint and json_text.exact(checkpoint),
            "output_bytes": output_bytes,
        },
    ).first()
    return Appended(row.last_seq, row.at) if row else None
