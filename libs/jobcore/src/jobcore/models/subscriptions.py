"""Subscriptions: webhooks for all jobs of an owner, or for those of a filter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobcore.models.webhooks import SignatureScheme, SubscribedEvent, WebhookFormat


@dataclass(frozen=True, slots=True)
class SubscriptionSettings:
    """What a client says about a subscription. None of a change: as it is."""

    url: str | None = None
    host: str | None = None
    """The host and the port of `url`."""
    events: tuple[SubscribedEvent, ...] | None = None
    task_types: tuple[str, ...] | None = None
    """Of jobs of any of these types; empty: of all."""
    queues: tuple[str, ...] | None = None
    """Of jobs of any of these queues; empty: of all."""
    tags: tuple[str, ...] | None = None
    """Of jobs that have all of these tags."""
    format: WebhookFormat | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A subscription to store: its settings are complete. `owner` None: the operator's, of everyone's jobs."""

    id: UUID
    owner: str | None
    settings: SubscriptionSettings
    signature: SignatureScheme


@dataclass(frozen=True, slots=True)
class Subscription:
    """A stored subscription."""

    id: UUID
    owner: str | None
    url: str
    events: tuple[SubscribedEvent, ...]
    task_types: tuple[str, ...]
    queues: tuple[str, ...]
    tags: tuple[str, ...]
    format: WebhookFormat
    signature: SignatureScheme
    failing_since: datetime | None
    """When the first delivery failed after the last one that succeeded; None: the last one succeeded."""
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
