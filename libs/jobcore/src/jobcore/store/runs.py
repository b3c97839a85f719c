"""The runs of a job, read from its events: from the state event RUNNING to the next state event.

A run that was cancelled may still be under way after that event; the cancel receipt says when it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, text

from jobcore.models import Run
from jobcore.states import ErrorKind, Status

RUNS: Final = text("""
SELECT run.seq, run.at AS started_at, run.attempt, CAST(run.data ->> 'worker_id' AS uuid) AS worker_id, workers.host,
       ending.at AS ended_at, ending.data AS ending, log.traceback
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
) AS log ON ending.data -> 'error' IS NOT NULL
WHERE run.job_id = :job_id AND run.seq > :after AND run.kind = 'state' AND run.data ->> 'status' = 'RUNNING'
ORDER BY run.seq LIMIT :limit
""")

BY_REASON: Final = {"crash": "crashed", "loss": "lost", "timeout": "timeout", "handed_back": "handed_back"}


def page(connection: Connection, job_id: UUID, after: int, limit: int) -> list[Run]:
    """The first `limit` runs whose first event has a seq above `after`, in order; [] if the job does not exist."""
    return [_run(row) for row in connection.execute(RUNS, {"job_id": job_id, "after": after, "limit": limit})]


def _run(row: Row[Any]) -> Run:
    return Run(
        seq=row.seq,
        attempt=row.attempt,
        outcome=outcome(row.ending),
        started_at=row.started_at,
        ended_at=row.ended_at,
        worker_id=row.worker_id,
        host=row.host,
        error=(row.ending or {}).get("error"),
        traceback=row.traceback,
    )


def outcome(ending: Mapping[str, Any] | None) -> str:
    """The outcome of a run, as `Run` lists them, from the data of the state event that ended it (None: no such event).

    The reason of the event decides first, because a hand-back, a crash and a loss may have the same status.
    """
    if ending is None:
        return "running"
    if reason := ending.get("reason"):
        return BY_REASON[reason]
    if ending.get("error", {}).get("kind") == ErrorKind.TIMEOUT:
        return "timeout"
    return "retried" if ending["status"] == Status.PENDING else ending["status"].lower()
