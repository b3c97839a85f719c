"""Deliveries of events: jobs that a trigger makes in the transaction of the event (migration 0046)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models.webhooks import Delivery
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows

MOST: Final = 500
"""The most deliveries of a job that are shown."""

_DELIVERIES: Final = Rows(Delivery, status=Status, result=json_text.loads, error=json_text.loads)

OF_JOB: Final = text(f"""{ORDERED}
SELECT id, input ->> 'url' AS url, input ->> 'type' AS type, CAST(input ->> 'seq' AS bigint) AS seq, status, attempt,
       CAST(result AS text) AS result, CAST(error AS text) AS error, created_at, run_at, finished_at
FROM jobs WHERE delivers = :job_id ORDER BY id DESC LIMIT :limit
""")


def of_job(connection: Connection, job_id: UUID) -> list[Delivery]:
    """The latest deliveries of the events of a job, newest first."""
    return _DELIVERIES.read(connection.execute(OF_JOB, {"job_id": job_id, "limit": MOST}))
