"""Tables of webhooks, deliveries and secrets."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from longrun_client.models_webhooks import Delivery, Webhook, WebhookSecret
from longrun_client.tables import new_table
from longrun_client.text import local_time, printable


def webhook_table(webhooks: Iterable[Webhook]) -> Table:
    """Where they send what, and whether they do."""
    table = new_table("ID", "OWNER", "URL", "EVENTS", "OF", "STATE")
    for one in webhooks:
        table.add_row(
            one.webhook_id,
            printable(one.owner or ""),
            printable(one.url),
            printable(" ".join(one.events)),
            printable(" ".join(f"{name}={'|'.join(values)}" for name, values in one.filter if values)),
            _state(one),
        )
    return table


def _state(webhook: Webhook) -> str:
    if not webhook.enabled:
        return printable(f"disabled: {webhook.disabled_reason}")
    return "enabled" if webhook.failing_since is None else f"failing since {local_time(webhook.failing_since)}"


def delivery_table(deliveries: Iterable[Delivery]) -> Table:
    """What became of each."""
    table = new_table("ID", "EVENT", "STATUS", "SENT", "ANSWER", "NEXT", "ERROR")
    for one in deliveries:
        table.add_row(
            one.delivery_id,
            printable(one.type),
            printable(one.status),
            f"{one.attempts}×",
            "" if one.status_code is None else f"{one.status_code} in {one.latency_ms} ms",
            "" if one.next_at is None else local_time(one.next_at),
            printable(one.error or ""),
        )
    return table


def secret_table(secrets: Iterable[WebhookSecret]) -> Table:
    """What signs, and until when."""
    table = new_table("SECRET", "CREATED", "SIGNS UNTIL")
    for one in secrets:
        until = "it is rotated" if one.expires_at is None else local_time(one.expires_at)
        table.add_row(printable(one.secret), local_time(one.created_at), until)
    return table
