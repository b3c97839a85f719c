"""The methods of both clients about webhooks."""

from __future__ import annotations

from longrun_client import calls_webhooks
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_webhooks import Delivery, WebhookSecret
from longrun_client.transport import Transport

OVERLAP_S = 86_400.0


class WebhookClient:
    """Deliveries of events, and what signs them."""

    _transport: Transport

    def deliveries(self, task_id: str) -> tuple[Delivery, ...]:
        """The latest deliveries of the events of a task, newest first."""
        return self._transport.call(calls_webhooks.deliveries(task_id))

    def webhook_secrets(self) -> tuple[WebhookSecret, ...]:
        """The secrets that sign deliveries, newest first. It takes the scope `admin`."""
        return self._transport.call(calls_webhooks.secrets())

    def rotate_webhook_secret(self, *, overlap_s: float = OVERLAP_S) -> tuple[WebhookSecret, ...]:
        """Make a new secret; the one before it also signs for another `overlap_s` seconds."""
        return self._transport.call(calls_webhooks.rotate_secret(overlap_s))


class AsyncWebhookClient:
    """Deliveries of events, and what signs them."""

    _transport: AsyncTransport

    async def deliveries(self, task_id: str) -> tuple[Delivery, ...]:
        """The latest deliveries of the events of a task, newest first."""
        return await self._transport.call(calls_webhooks.deliveries(task_id))

    async def webhook_secrets(self) -> tuple[WebhookSecret, ...]:
        """The secrets that sign deliveries, newest first. It takes the scope `admin`."""
        return await self._transport.call(calls_webhooks.secrets())

    async def rotate_webhook_secret(self, *, overlap_s: float = OVERLAP_S) -> tuple[WebhookSecret, ...]:
        """Make a new secret; the one before it also signs for another `overlap_s` seconds."""
        return await self._transport.call(calls_webhooks.rotate_secret(overlap_s))
