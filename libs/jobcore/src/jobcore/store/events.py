"""The events of a job: rows of `job_events`, read by a cursor, `seq`, which has no gaps within a job."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import Event
from jobcore.store import json_text
from jobcore.store.rows import Rows

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
