"""Calls of the API for webhooks. A rotation whose answer is lost was made all the same: ask for the secrets."""

from __future__ import annotations

from longrun_client.calls import Call, items, task_path
from longrun_client.models_webhooks import Delivery, WebhookSecret


def deliveries(task_id: str) -> Call[tuple[Delivery, ...]]:
    """GET /tasks/{id}/deliveries."""
    return Call("GET", f"{task_path(task_id)}/deliveries", items(Delivery))


def secrets() -> Call[tuple[WebhookSecret, ...]]:
    """GET /webhook-secrets."""
    return Call("GET", "/webhook-secrets", items(WebhookSecret))


def rotate_secret(overlap_s: float) -> Call[tuple[WebhookSecret, ...]]:
    """POST /webhook-secrets."""
    return Call("POST", "/webhook-secrets", items(WebhookSecret), body={"overlap_s": overlap_s})
