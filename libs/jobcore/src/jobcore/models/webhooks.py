"""Webhooks: what events are sent to, and how they are signed (Standard Webhooks 1.0)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from jobcore.states import Status

DELIVERY_TYPE: Final = "longrun.webhook"
"""The task type of the jobs that deliver events."""
DELIVERY_QUEUE: Final = "webhooks"
PING: Final = "webhook.ping"
"""The type of the event that tries a subscription."""


class WebhookEvent(StrEnum):
    """What the webhook of a job can be told: that it has become RUNNING, or has ended."""

    RUNNING = "task.running"
    SUCCESS = "task.success"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"


class SubscribedEvent(StrEnum):
    """What a subscription can be told: events of jobs, and that another subscription of its owner is disabled."""

    RUNNING = "task.running"
    SUCCESS = "task.success"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    DISABLED = "webhook.disabled"


ENDS: Final = (WebhookEvent.SUCCESS, WebhookEvent.FAILED, WebhookEvent.CANCELLED)


class WebhookFormat(StrEnum):
    """How a body is made: as Standard Webhooks recommends it, or in the structured mode of CloudEvents 1.0."""

    STANDARD = "standard"
    CLOUDEVENTS = "cloudevents"

    @property
    def content_type(self) -> str:
        """The media type of such a body."""
        return "application/json" if self is WebhookFormat.STANDARD else "application/cloudevents+json"


class SignatureScheme(StrEnum):
    """How a delivery is signed: HMAC-SHA256 with a secret, or Ed25519 with a private key."""

    V1 = "v1"
    V1A = "v1a"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to send which events of a job. `host` is the host and the port of the URL."""

    url: str
    host: str
    events: tuple[WebhookEvent, ...]
    format: WebhookFormat = WebhookFormat.STANDARD


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """What deliveries are signed with until `expires_at`; None: until it is rotated."""

    secret: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None
    scheme: SignatureScheme = SignatureScheme.V1

    @property
    def text(self) -> str:
        """What the receiver verifies signatures with, as libraries take it: the secret, or the public key."""
        if self.scheme is SignatureScheme.V1:
            return f"whsec_{b64encode(self.secret).decode()}"
        from jobcore.models import ed25519  # only what uses such keys imports a library for them

        return f"whpk_{b64encode(ed25519.public_key(self.secret)).decode()}"

    def signature(self, message_id: str, timestamp: int, body: str) -> str:
        """The signature of a delivery that is sent at this time, in seconds since 1970."""
        signed = f"{message_id}.{timestamp}.{body}".encode()
        if self.scheme is SignatureScheme.V1:
            return f"v1,{b64encode(hmac.digest(self.secret, signed, 'sha256')).decode()}"
        from jobcore.models import ed25519

        return f"v1a,{b64encode(ed25519.sign(self.secret, signed)).decode()}"


def headers(secrets: Sequence[WebhookSecret], message_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The headers of a delivery, signed with each of these secrets."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(secret.signature(message_id, timestamp, body) for secret in secrets),
    }


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook: a job of its own, whose attempts are those of the delivery."""

    id: UUID
    task_id: UUID | None
    """Of which job the event is; None: of a subscription."""
    webhook_id: UUID | None
    """The subscription; None: the job names its webhook itself."""
    url: str
    type: str
    seq: int | None
    status: Status
    attempt: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    run_at: datetime
    finished_at: datetime | None
