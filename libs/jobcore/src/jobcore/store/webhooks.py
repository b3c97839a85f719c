"""Deliveries of events, and the secrets with which they are signed.

The trigger `deliver_event` makes the deliveries, in the transaction of their event (migration 0046).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models.webhooks import Delivery, WebhookSecret
from jobcore.states import Status
from jobcore.store import json_text
from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

DELIVERIES_MAX: Final = 500
"""The most deliveries of a job that are shown."""

_DELIVERIES: Final = Rows(Delivery, status=Status, result=json_text.loads, error=json_text.loads)
_SECRETS: Final = Rows(WebhookSecret, secret=bytes)

DELIVERIES: Final = text(f"""{ORDERED}
SELECT id, input ->> 'url' AS url, input ->> 'type' AS type, CAST(input ->> 'seq' AS bigint) AS seq, status, attempt,
       CAST(result AS text) AS result, CAST(error AS text) AS error, created_at, run_at, finished_at
FROM jobs WHERE delivers = :job_id ORDER BY id DESC LIMIT :limit
""")


def deliveries(connection: Connection, job_id: UUID) -> list[Delivery]:
    """The latest deliveries of the events of a job, newest first."""
    return _DELIVERIES.read(connection.execute(DELIVERIES, {"job_id": job_id, "limit": DELIVERIES_MAX}))


OF_OWNER: Final = "coalesce(owner, '') = coalesce(CAST(:owner AS text), '')"
LIVE: Final = text(f"""
SELECT secret, created_at, expires_at FROM webhook_secrets
WHERE {OF_OWNER} AND (expires_at IS NULL OR expires_at > now()) ORDER BY created_at DESC
""")
MAKE: Final = """
INSERT INTO webhook_secrets (owner, secret, created_at) VALUES (:owner, :secret, clock_timestamp())
ON CONFLICT (coalesce(owner, '')) WHERE expires_at IS NULL DO NOTHING
"""
FIRST: Final = text(DURABLE + MAKE)
ROTATE: Final = text(f"""{DURABLE}
DELETE FROM webhook_secrets WHERE {OF_OWNER} AND expires_at IS NOT NULL;
UPDATE webhook_secrets SET expires_at = now() + make_interval(secs => :overlap_s)
WHERE {OF_OWNER} AND expires_at IS NULL;
{MAKE}
""")


def live_secrets(connection: Connection, owner: str | None) -> Sequence[WebhookSecret]:
    """The secrets that sign an owner's deliveries, newest first: one, or two after a rotation.

    The first one is made at the first use.
    """
    found = _live(connection, owner)
    if not any(secret.expires_at is None for secret in found):
        connection.execute(FIRST, {"owner": owner, "secret": secrets.token_bytes(32)})
        found = _live(connection, owner)
    return found


def rotate_secret(connection: Connection, owner: str | None, overlap_s: float) -> Sequence[WebhookSecret]:
    """Make a new secret; the one before it also signs for another `overlap_s` seconds, older ones no more."""
    parameters = {"owner": owner, "secret": secrets.token_bytes(32), "overlap_s": overlap_s}
    connection.execute(ROTATE, parameters)
    return _live(connection, owner)


def _live(connection: Connection, owner: str | None) -> list[WebhookSecret]:
    return _SECRETS.read(connection.execute(LIVE, {"owner": owner}))
