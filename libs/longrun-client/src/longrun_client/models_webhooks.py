"""Responses about webhooks."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from longrun_client.wire import Wire


class TaskWebhook(Wire):
    """Where events of a task are sent."""

    url: str
    events: tuple[str, ...]


class Delivery(Wire):
    """An event on its way to a webhook: a task of its own, `delivery_id`; `retry` sends a failed one again."""

    delivery_id: str
    seq: int
    """The `seq` of the event."""
    type: str
    """`task.running`, `task.success`, `task.failed` or `task.cancelled`."""
    url: str
    status: str
    """`SUCCESS`: delivered. `FAILED`: given up. `PENDING`: it is sent at `next_at`."""
    attempts: int
    status_code: int | None = None
    """What the receiver answered last; None: nothing yet."""
    latency_ms: int | None = None
    error: str | None = None
    """Why the latest attempt failed."""
    created_at: AwareDatetime
    next_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None


class WebhookSecret(Wire):
    """A secret with which deliveries are signed."""

    secret: str = Field(repr=False)
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """Until when it signs; None: until it is rotated."""
