"""Subscriptions: the table `webhooks`. A trigger sends them events (migration 0048).

`owner` limits a function to the subscriptions of that owner; None: all.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.models.subscriptions import NewSubscription, Subscription, SubscriptionSettings
from jobcore.models.webhooks import PING, SignatureScheme, SubscribedEvent, WebhookFormat, WebhookSecret
from jobcore.store.ownership import OWNED
from jobcore.store.rows import Rows
from jobcore.store.transactions import DURABLE

MOST: Final = 50
"""The most subscriptions of an owner, because each one that matches makes a job of an event."""


def _events(names: Sequence[str]) -> tuple[SubscribedEvent, ...]:
    # a version of Longrun that is newer than this one may know further events
    return tuple(SubscribedEvent(name) for name in names if name in set(SubscribedEvent))


_SUBSCRIPTIONS: Final = Rows(
    Subscription,
    events=_events,
    task_types=tuple,
    queues=tuple,
    tags=tuple,
    format=WebhookFormat,
    signature=SignatureScheme,
)
_SECRETS: Final = Rows(WebhookSecret, secret=bytes, scheme=SignatureScheme)

ADD: Final = text(
    DURABLE
    + f"""
INSERT INTO webhooks (id, owner, url, host, events, task_types, queues, tags, format, signature, secret,
                      disabled_at, disabled_reason)
SELECT :id, :owner, :url, :host, CAST(:events AS text[]), CAST(:task_types AS text[]), CAST(:queues AS text[]),
       CAST(:tags AS text[]), :format, :signature, :secret, CASE WHEN NOT :enabled THEN now() END,
       CASE WHEN NOT :enabled THEN :reason END
WHERE (SELECT count(*) FROM webhooks WHERE coalesce(owner, '') = coalesce(CAST(:owner AS text), '')) < :most
RETURNING {_SUBSCRIPTIONS.columns}
"""
)
BY_CLIENT: Final = "a client disabled it"


def add(connection: Connection, new: NewSubscription) -> Subscription | None:
    """Store a subscription with a new secret; None if its owner has `MOST` already."""
    given = {"id": new.id, "owner": new.owner, "signature": new.signature, "secret": randomness.token_bytes(32)}
    return _one(connection, ADD, {**_columns(new.settings), **given, "most": MOST, "reason": BY_CLIENT})


FIND: Final = text(f"SELECT {_SUBSCRIPTIONS.columns} FROM webhooks WHERE id = :id AND {OWNED}")


def find(connection: Connection, webhook_id: UUID, owner: str | None = None) -> Subscription | None:
    """The subscription with this id; None if there is none."""
    return _one(connection, FIND, {"id": webhook_id, "owner": owner})


_PAGE: Final = f"""
SELECT {_SUBSCRIPTIONS.columns} FROM webhooks
WHERE {{of}} AND (CAST(:before AS uuid) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
"""
PAGE_OF_ANYONE: Final = text(_PAGE.format(of="true"))
PAGE_OF_OWNER: Final = text(_PAGE.format(of="coalesce(owner, '') = :owner"))


def page(connection: Connection, owner: str | None, before: UUID | None, limit: int) -> list[Subscription]:
    """Up to `limit` subscriptions with ids below `before`, newest first."""
    statement = PAGE_OF_ANYONE if owner is None else PAGE_OF_OWNER
    return _SUBSCRIPTIONS.read(connection.execute(statement, {"owner": owner, "before": before, "limit": limit}))


CHANGE: Final = text(
    DURABLE
    + f"""
UPDATE webhooks SET
    url = coalesce(:url, url), host = coalesce(:host, host), events = coalesce(CAST(:events AS text[]), events),
    task_types = coalesce(CAST(:task_types AS text[]), task_types),
    queues = coalesce(CAST(:queues AS text[]), queues), tags = coalesce(CAST(:tags AS text[]), tags),
    format = coalesce(:format, format),
    failing_since = CASE WHEN CAST(:enabled AS boolean) OR url <> :url THEN NULL ELSE failing_since END,
    disabled_at = CASE CAST(:enabled AS boolean)
        WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, now()) ELSE disabled_at END,
    disabled_reason = CASE CAST(:enabled AS boolean)
        WHEN true THEN NULL WHEN false THEN coalesce(disabled_reason, :reason) ELSE disabled_reason END
WHERE id = :id AND {OWNED} RETURNING {_SUBSCRIPTIONS.columns}
"""
)


def change(
    connection: Connection, webhook_id: UUID, settings: SubscriptionSettings, owner: str | None = None
) -> Subscription | None:
    """Change those settings that are given; None if there is no such subscription."""
    return _one(connection, CHANGE, {**_columns(settings), "id": webhook_id, "owner": owner, "reason": BY_CLIENT})


DELETE: Final = text(DURABLE + f"DELETE FROM webhooks WHERE id = :id AND {OWNED} RETURNING {_SUBSCRIPTIONS.columns}")


def delete(connection: Connection, webhook_id: UUID, owner: str | None = None) -> Subscription | None:
    """Delete a subscription and return it; what was not delivered yet fails. None if there is none."""
    return _one(connection, DELETE, {"id": webhook_id, "owner": owner})


_LIVE: Final = f"""
SELECT secret, secret_created_at AS created_at, CAST(NULL AS timestamptz) AS expires_at, signature AS scheme
FROM webhooks WHERE id = :id AND {OWNED}
UNION ALL
SELECT old_secret, old_secret_created_at, old_secret_expires_at, signature
FROM webhooks WHERE id = :id AND {OWNED} AND old_secret_expires_at > now()
"""
LIVE: Final = text(_LIVE)


def secrets(connection: Connection, webhook_id: UUID, owner: str | None = None) -> list[WebhookSecret]:
    """The secrets that sign its deliveries, newest first: one, or two after a rotation; none if there is none."""
    return _SECRETS.read(connection.execute(LIVE, {"id": webhook_id, "owner": owner}))


ROTATE: Final = text(
    DURABLE
    + f"""
UPDATE webhooks SET
    old_secret = secret, old_secret_created_at = secret_created_at,
    old_secret_expires_at = now() + make_interval(secs => :overlap_s),
    secret = :secret, secret_created_at = clock_timestamp()
WHERE id = :id AND {OWNED};
{_LIVE}
"""
)


def rotate(connection: Connection, webhook_id: UUID, overlap_s: float, owner: str | None = None) -> list[WebhookSecret]:
    """Make a new secret; the one before it also signs for another `overlap_s` seconds, older ones no more."""
    given = {"id": webhook_id, "owner": owner, "overlap_s": overlap_s, "secret": randomness.token_bytes(32)}
    return _SECRETS.read(connection.execute(ROTATE, given))


SEND_PING: Final = text(
    DURABLE
    + f"""
SELECT send_event('{PING}', NULL, NULL, CAST(json_build_object('webhook_id', id) AS text), :traceparent, id, owner, url,
                  host, format)
FROM webhooks WHERE id = :id
"""
)


def ping(connection: Connection, webhook_id: UUID, traceparent: str | None = None) -> UUID | None:
    """Send an event that says nothing but that it arrives: the id of its delivery. None if there is none."""
    given = {"id": webhook_id, "traceparent": traceparent}
    delivery: UUID | None = connection.execute(SEND_PING, given).scalar()
    return delivery


SUCCEEDED: Final = text(
    DURABLE + "UPDATE webhooks SET failing_since = NULL WHERE id = :id AND failing_since IS NOT NULL"
)


def note_success(connection: Connection, webhook_id: UUID) -> None:
    """A delivery has succeeded."""
    connection.execute(SUCCEEDED, {"id": webhook_id})


# It writes twice about a receiver that is away: at its first failure, and when it is disabled. What it tells the other
# subscriptions of the owner is of the same transaction, whose time is that of `disabled_at`.
FAILED: Final = text(
    DURABLE
    + f"""
UPDATE webhooks SET
    failing_since = coalesce(failing_since, now()),
    disabled_at = CASE WHEN failing_since <= now() - make_interval(secs => :most_s) OR :gone THEN now() END,
    disabled_reason = CASE WHEN failing_since <= now() - make_interval(secs => :most_s) OR :gone THEN :reason END
WHERE id = :id AND disabled_at IS NULL
    AND (failing_since IS NULL OR failing_since <= now() - make_interval(secs => :most_s) OR :gone);
SELECT send_event('{SubscribedEvent.DISABLED}', NULL, NULL, CAST(json_build_object(
    'webhook_id', disabled.id, 'url', disabled.url, 'owner', disabled.owner, 'disabled_at', disabled.disabled_at,
    'reason', disabled.disabled_reason) AS text), NULL, other.id, other.owner, other.url, other.host, other.format)
FROM webhooks AS disabled, webhooks AS other
WHERE disabled.id = :id AND disabled.disabled_at = now() AND other.id <> disabled.id
    AND coalesce(other.owner, '') = ANY(ARRAY['', coalesce(disabled.owner, '')]) AND other.disabled_at IS NULL
    AND '{SubscribedEvent.DISABLED}' = ANY(other.events)
"""
)


def note_failure(connection: Connection, webhook_id: UUID, most_s: float, reason: str, *, gone: bool = False) -> None:
    """A delivery has failed. After `most_s` seconds without a success, or if it is `gone`, it is disabled.

    Those other subscriptions that ask for it are told.
    """
    connection.execute(FAILED, {"id": webhook_id, "most_s": most_s, "reason": reason, "gone": gone})


def _one(connection: Connection, statement: Any, parameters: dict[str, Any]) -> Subscription | None:
    return next(iter(_SUBSCRIPTIONS.read(connection.execute(statement, parameters))), None)


def _columns(settings: SubscriptionSettings) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}
