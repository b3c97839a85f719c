"""Deliveries of events: jobs that a trigger makes in the transaction of the event (migration 0048)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models.webhooks import DELIVERY_TYPE, Delivery
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.store.ownership import OWNED
from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

MOST: Final = 500
"""The most deliveries of a job that are shown."""

_DELIVERIES: Final = Rows(Delivery, status=Status, result=json_text.loads, error=json_text.loads)

COLUMNS: Final = """
id, nullif(delivers, delivers_to) AS task_id, delivers_to AS webhook_id,
input ->> 'url' AS url, input ->> 'type' AS type,
CAST(input ->> 'seq' AS bigint) AS seq, status, attempt, CAST(result AS text) AS result, CAST(error AS text) AS error,
created_at, run_at, finished_at
"""

OF_JOB: Final = text(f"""{ORDERED}
SELECT {COLUMNS} FROM jobs WHERE delivers = :job_id AND {OWNED} ORDER BY id DESC LIMIT :limit
""")


def of_job(connection: Connection, job_id: UUID, owner: str | None = None) -> list[Delivery]:
    """The latest deliveries of the events of a job, newest first, to webhooks of this owner; None: to all."""
    return _DELIVERIES.read(connection.execute(OF_JOB, {"job_id": job_id, "owner": owner, "limit": MOST}))


OF_WEBHOOK: Final = text(f"""{ORDERED}
SELECT {COLUMNS} FROM jobs WHERE delivers_to = :webhook_id AND (CAST(:before AS uuid) IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit
""")


def of_webhook(connection: Connection, webhook_id: UUID, before: UUID | None, limit: int) -> list[Delivery]:
    """Up to `limit` deliveries to a subscription with ids below `before`, newest first."""
    given = {"webhook_id": webhook_id, "before": before, "limit": limit}
    return _DELIVERIES.read(connection.execute(OF_WEBHOOK, given))


FIND: Final = text(f"SELECT {COLUMNS} FROM jobs WHERE id = :id AND task_type = '{DELIVERY_TYPE}'")


def find(connection: Connection, delivery_id: UUID) -> Delivery | None:
    """The delivery with this id; None if there is none."""
    return next(iter(_DELIVERIES.read(connection.execute(FIND, {"id": delivery_id}))), None)


# As `send_event` makes a delivery, it waits for a time that has come: promotion makes it ready.
AGAIN: Final = text(f"""{DURABLE}
WITH old AS MATERIALIZED (
    SELECT *, new_job_id(clock_timestamp()) AS new_id FROM jobs WHERE id = :id AND task_type = '{DELIVERY_TYPE}'
), made AS (
    INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, timeout_s, input, max_attempts, traceparent,
                      concurrency_key, fairness_key, created_at, owner, delivers, delivers_to)
    SELECT new_id, task_type, queue, now(), 'PENDING', false, now(), timeout_s,
           jsonb_build_object('message_id', id) || input, max_attempts, traceparent, concurrency_key, fairness_key,
           now(), owner, delivers, delivers_to
    FROM old RETURNING *
), event AS (
    INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
    SELECT id, 1, created_at, 0, 'state', '{{"status": "PENDING"}}' FROM made
)
SELECT {COLUMNS} FROM made
""")


def again(connection: Connection, delivery_id: UUID) -> Delivery | None:
    """Send the message of a delivery once more, in a delivery of its own; None if there is none."""
    return next(iter(_DELIVERIES.read(connection.execute(AGAIN, {"id": delivery_id}))), None)
