"""The secrets with which deliveries of events are signed: one of each owner, or two after a rotation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from jobcore.models.webhooks import WebhookSecret
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

_SECRETS: Final = Rows(WebhookSecret, secret=bytes)

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


def live(connection: Connection, owner: str | None) -> Sequence[WebhookSecret]:
    """The secrets that sign an owner's deliveries, newest first: one, or two after a rotation.

    The first one is made at the first use.
    """
    found = _found(connection, owner)
    if not any(secret.expires_at is None for secret in found):
        connection.execute(FIRST, {"owner": owner, "secret": secrets.token_bytes(32)})
        found = _found(connection, owner)
    return found


def rotate(connection: Connection, owner: str | None, overlap_s: float) -> Sequence[WebhookSecret]:
    """Make a new secret; the one before it also signs for another `overlap_s` seconds, older ones no more."""
    parameters = {"owner": owner, "secret": secrets.token_bytes(32), "overlap_s": overlap_s}
    connection.execute(ROTATE, parameters)
    return _found(connection, owner)


def _found(connection: Connection, owner: str | None) -> list[WebhookSecret]:
    return _SECRETS.read(connection.execute(LIVE, {"owner": owner}))
