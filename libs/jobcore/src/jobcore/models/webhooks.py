"""Webhooks: what a job's events are sent to, and how they are signed (Standard Webhooks 1.0)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from jobcore.states import Status

DELIVERY_TYPE: Final = "longrun.webhook"
"""The task type of the jobs that deliver events."""
DELIVERY_QUEUE: Final = "webhooks"


class WebhookEvent(StrEnum):
    """What a webhook can be told: that a job has become RUNNING, or has ended."""

    RUNNING = "task.running"
    SUCCESS = "task.success"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"


ENDS: Final = (WebhookEvent.SUCCESS, WebhookEvent.FAILED, WebhookEvent.CANCELLED)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to send which events of a job. `host` is the host and the port of the URL."""

    url: str
    host: str
    events: tuple[WebhookEvent, ...]


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """What an owner's deliveries are signed with until `expires_at`; None: until it is rotated."""

    secret: bytes
    created_at: datetime
    expires_at: datetime | None

    @property
    def text(self) -> str:
        """The secret as receivers' libraries take it."""
        return f"whsec_{b64encode(self.secret).decode()}"

    def signature(self, message_id: str, timestamp: int, body: str) -> str:
        """The signature of a delivery that is sent at this time, in seconds since 1970."""
        signed = f"{message_id}.{timestamp}.{body}".encode()
        return f"v1,{b64encode(hmac.digest(self.secret, signed, 'sha256')).decode()}"


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
    url: str
    type: str
    seq: int
    status: Status
    attempt: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    run_at: datetime
    finished_at: datetime | None
