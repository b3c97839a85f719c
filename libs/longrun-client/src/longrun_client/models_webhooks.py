"""Responses about webhooks."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from longrun_client.wire import KeysetPage, Wire


class TaskWebhook(Wire):
    """Where events of a task are sent."""

    url: str
    events: tuple[str, ...]
    format: str = "standard"


class WebhookFilter(Wire):
    """Of which tasks events are sent: of those that match every member that is not empty."""

    task_type: tuple[str, ...] = ()
    """Any of these."""
    queue: tuple[str, ...] = ()
    """Any of these."""
    tag: tuple[str, ...] = ()
    """All of these."""


class Webhook(Wire):
    """A webhook for all tasks of an owner, or for those of a filter."""

    webhook_id: str
    owner: str | None = None
    """Of whose tasks; None: of everyone's."""
    url: str
    events: tuple[str, ...]
    filter: WebhookFilter
    format: str
    """`standard` or `cloudevents`."""
    signature: str
    """`v1` or `v1a`."""
    enabled: bool
    disabled_at: AwareDatetime | None = None
    disabled_reason: str | None = None
    failing_since: AwareDatetime | None = None
    """Since when each delivery has failed; None: the last one succeeded."""
    created_at: AwareDatetime


class WebhookPage(KeysetPage[Webhook]):
    """A page of webhooks, newest first."""


class Delivery(Wire):
    """An event on its way to a webhook: a task of its own, `delivery_id`; `redeliver` sends its message again."""

    delivery_id: str
    task_id: str | None = None
    """The task of the event; None: the event is of no task."""
    webhook_id: str | None = None
    """The webhook; None: the task names its webhook itself."""
    seq: int | None = None
    """The `seq` of the event."""
    type: str
    """`task.running`, `task.success`, `task.failed`, `task.cancelled`, `webhook.disabled` or `webhook.ping`."""
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


class DeliveryPage(KeysetPage[Delivery]):
    """A page of the deliveries to a webhook, newest first."""


class WebhookSecret(Wire):
    """A secret with which deliveries are signed; of a webhook with `v1a`, the public key."""

    secret: str = Field(repr=False)
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    """Until when it signs; None: until it is rotated."""
