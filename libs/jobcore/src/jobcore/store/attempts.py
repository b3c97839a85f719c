"""The runs of a job, read from its story: each begins with the event RUNNING and ends with the next state event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models import PastRun
from jobcore.states import ErrorKind, Status

RUNS: Final = text("""
SELECT run.seq, run.at, run.attempt, CAST(run.data ->> 'worker_id' AS uuid), workers.host, ending.at, ending.data,
       said.traceback
FROM job_events AS run
LEFT JOIN workers ON workers.id = CAST(run.data ->> 'worker_id' AS uuid)
LEFT JOIN LATERAL (
    SELECT seq, at, data FROM job_events
    WHERE job_id = run.job_id AND seq > run.seq AND kind = 'state' ORDER BY seq LIMIT 1
) AS ending ON true
LEFT JOIN LATERAL (
    SELECT data ->> 'message' AS traceback FROM job_events
    WHERE job_id = run.job_id AND seq > run.seq AND seq < ending.seq AND kind = 'log'
      AND data -> 'traceback' IS NOT NULL
    ORDER BY seq DESC LIMIT 1
) AS said ON ending.data -> 'error' IS NOT NULL
WHERE run.job_id = :job_id AND run.seq > :after AND run.kind = 'state' AND run.data ->> 'status' = 'RUNNING'
ORDER BY run.seq LIMIT :limit
""")

BY_REASON: Final = {"crash": "crashed", "loss": "lost", "timeout": "timeout", "handed_back": "handed_back"}


def of(connection: Connection, job_id: UUID, after: int, limit: int) -> list[PastRun]:
    """The job's runs that began after this seq, in order; [] for a job that does not exist."""
    rows = connection.execute(RUNS, {"job_id": job_id, "after": after, "limit": limit})
    return [
        PastRun(seq, attempt, outcome(data), began, ended, worker_id, host, (data or {}).get("error"), traceback)
        for seq, began, attempt, worker_id, host, ended, data, traceback in rows
    ]


def outcome(ending: Mapping[str, Any] | None) -> str:
    """What a run came to, by the data of the state event that ended it; "running" if there is none yet."""
    if ending is None:
        return "running"
    if reason := ending.get("reason"):
        return BY_REASON[reason]
    if ending.get("error", {}).get("kind") == ErrorKind.TIMEOUT:
        return "timeout"
    return "retried" if ending["status"] == Status.PENDING else ending["status"].lower()
