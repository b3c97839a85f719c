"""Calls of the API for webhooks. A rotation whose answer is lost was made all the same: ask for the secrets."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, items, task_path, without_none
from longrun_client.keys import new_key
from longrun_client.models_webhooks import Delivery, DeliveryPage, Webhook, WebhookPage, WebhookSecret
from longrun_client.options import NewWebhookOptions, WebhookChanges
from longrun_client.wire import KeysetPage


def page(cursor: str | None) -> Call[KeysetPage[Webhook]]:
    """GET /webhooks: one page, newest first."""
    params = without_none({"limit": PAGE_SIZE, "cursor": cursor})
    return Call("GET", "/webhooks", WebhookPage.model_validate, params=params)


def get(webhook_id: str) -> Call[Webhook]:
    """GET /webhooks/{id}."""
    return Call("GET", _path(webhook_id), Webhook.model_validate)


def create(url: str, options: NewWebhookOptions) -> Call[Webhook]:
    """POST /webhooks."""
    body: dict[str, Any] = {"url": url, **options}
    key = new_key(body.pop("idempotency_key", None))
    return Call("POST", "/webhooks", Webhook.model_validate, body=body, key=key)


def change(webhook_id: str, changes: WebhookChanges) -> Call[Webhook]:
    """PATCH /webhooks/{id}."""
    return Call("PATCH", _path(webhook_id), Webhook.model_validate, body=dict(changes))


def delete(webhook_id: str) -> Call[Webhook]:
    """DELETE /webhooks/{id}."""
    return Call("DELETE", _path(webhook_id), Webhook.model_validate)


def ping(webhook_id: str) -> Call[Delivery]:
    """POST /webhooks/{id}/ping."""
    return Call("POST", f"{_path(webhook_id)}/ping", Delivery.model_validate, key=new_key(None))


def delivery_page(webhook_id: str, cursor: str | None) -> Call[KeysetPage[Delivery]]:
    """GET /webhooks/{id}/deliveries: one page, newest first."""
    params = without_none({"limit": PAGE_SIZE, "cursor": cursor})
    return Call("GET", f"{_path(webhook_id)}/deliveries", DeliveryPage.model_validate, params=params)


def deliveries(task_id: str) -> Call[tuple[Delivery, ...]]:
    """GET /tasks/{id}/deliveries."""
    return Call("GET", f"{task_path(task_id)}/deliveries", items(Delivery))


def redeliver(delivery_id: str) -> Call[Delivery]:
    """POST /tasks/{id}/redeliver."""
    return Call("POST", f"{task_path(delivery_id)}/redeliver", Delivery.model_validate, key=new_key(None))


def secrets(webhook_id: str | None) -> Call[tuple[WebhookSecret, ...]]:
    """GET /webhooks/{id}/secrets, or /webhook-secrets."""
    return Call("GET", _secrets_path(webhook_id), items(WebhookSecret))


def rotate_secret(webhook_id: str | None, overlap_s: float) -> Call[tuple[WebhookSecret, ...]]:
    """POST /webhooks/{id}/secrets, or /webhook-secrets."""
    return Call("POST", _secrets_path(webhook_id), items(WebhookSecret), body={"overlap_s": overlap_s})


def _secrets_path(webhook_id: str | None) -> str:
    return "/webhook-secrets" if webhook_id is None else f"{_path(webhook_id)}/secrets"


def _path(webhook_id: str) -> str:
    return f"/webhooks/{quote(webhook_id, safe='')}"
