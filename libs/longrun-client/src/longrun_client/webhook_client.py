"""The methods of both clients about webhooks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Unpack

from longrun_client import calls_webhooks
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_webhooks import Delivery, Webhook, WebhookSecret
from longrun_client.options import NewWebhookOptions, WebhookChanges
from longrun_client.transport import Transport

OVERLAP_S = 86_400.0


class WebhookClient:
    """Webhooks, deliveries of events, and what signs them. What is not about a task takes the scope `admin`."""

    _transport: Transport

    def webhooks(self) -> Iterator[Webhook]:
        """Iterate over all webhooks of `create_webhook`, newest first. Pages are fetched as needed."""
        return self._transport.walk(calls_webhooks.page)

    def webhook(self, webhook_id: str) -> Webhook:
        """Get a webhook."""
        return self._transport.call(calls_webhooks.get(webhook_id))

    def create_webhook(self, url: str, **options: Unpack[NewWebhookOptions]) -> Webhook:
        """Make a webhook for all tasks of an owner, or for those of a filter."""
        return self._transport.call(calls_webhooks.create(url, options))

    def change_webhook(self, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change a webhook, disable it, or enable it again."""
        return self._transport.call(calls_webhooks.change(webhook_id, changes))

    def delete_webhook(self, webhook_id: str) -> Webhook:
        """Delete a webhook. What is not delivered yet fails."""
        return self._transport.call(calls_webhooks.delete(webhook_id))

    def ping_webhook(self, webhook_id: str) -> Delivery:
        """Send the event `webhook.ping`, to try a webhook."""
        return self._transport.call(calls_webhooks.ping(webhook_id))

    def webhook_deliveries(self, webhook_id: str) -> Iterator[Delivery]:
        """Iterate over the deliveries to a webhook, newest first. Pages are fetched as needed."""
        return self._transport.walk(partial(calls_webhooks.delivery_page, webhook_id))

    def deliveries(self, task_id: str) -> tuple[Delivery, ...]:
        """The latest deliveries of the events of a task, newest first."""
        return self._transport.call(calls_webhooks.deliveries(task_id))

    def redeliver(self, delivery_id: str) -> Delivery:
        """Send the message of a delivery once more, whatever became of it."""
        return self._transport.call(calls_webhooks.redeliver(delivery_id))

    def webhook_secrets(self, webhook_id: str | None = None) -> tuple[WebhookSecret, ...]:
        """The secrets that sign the deliveries of a webhook, or of your tasks that name their own, newest first."""
        return self._transport.call(calls_webhooks.secrets(webhook_id))

    def rotate_webhook_secret(
        self, webhook_id: str | None = None, *, overlap_s: float = OVERLAP_S
    ) -> tuple[WebhookSecret, ...]:
        """Make a new secret; the one before it also signs for another `overlap_s` seconds."""
        return self._transport.call(calls_webhooks.rotate_secret(webhook_id, overlap_s))


class AsyncWebhookClient:
    """Webhooks, deliveries of events, and what signs them. What is not about a task takes the scope `admin`."""

    _transport: AsyncTransport

    def webhooks(self) -> AsyncGenerator[Webhook, None]:
        """Iterate over all webhooks of `create_webhook`, newest first. Pages are fetched as needed."""
        return self._transport.walk(calls_webhooks.page)

    async def webhook(self, webhook_id: str) -> Webhook:
        """Get a webhook."""
        return await self._transport.call(calls_webhooks.get(webhook_id))

    async def create_webhook(self, url: str, **options: Unpack[NewWebhookOptions]) -> Webhook:
        """Make a webhook for all tasks of an owner, or for those of a filter."""
        return await self._transport.call(calls_webhooks.create(url, options))

    async def change_webhook(self, webhook_id: str, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Change a webhook, disable it, or enable it again."""
        return await self._transport.call(calls_webhooks.change(webhook_id, changes))

    async def delete_webhook(self, webhook_id: str) -> Webhook:
        """Delete a webhook. What is not delivered yet fails."""
        return await self._transport.call(calls_webhooks.delete(webhook_id))

    async def ping_webhook(self, webhook_id: str) -> Delivery:
        """Send the event `webhook.ping`, to try a webhook."""
        return await self._transport.call(calls_webhooks.ping(webhook_id))

    def webhook_deliveries(self, webhook_id: str) -> AsyncGenerator[Delivery, None]:
        """Iterate over the deliveries to a webhook, newest first. Pages are fetched as needed."""
        return self._transport.walk(partial(calls_webhooks.delivery_page, webhook_id))

    async def deliveries(self, task_id: str) -> tuple[Delivery, ...]:
        """The latest deliveries of the events of a task, newest first."""
        return await self._transport.call(calls_webhooks.deliveries(task_id))

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Send the message of a delivery once more, whatever became of it."""
        return await self._transport.call(calls_webhooks.redeliver(delivery_id))

    async def webhook_secrets(self, webhook_id: str | None = None) -> tuple[WebhookSecret, ...]:
        """The secrets that sign the deliveries of a webhook, or of your tasks that name their own, newest first."""
        return await self._transport.call(calls_webhooks.secrets(webhook_id))

    async def rotate_webhook_secret(
        self, webhook_id: str | None = None, *, overlap_s: float = OVERLAP_S
    ) -> tuple[WebhookSecret, ...]:
        """Make a new secret; the one before it also signs for another `overlap_s` seconds."""
        return await self._transport.call(calls_webhooks.rotate_secret(webhook_id, overlap_s))
