"""Webhooks as clients see them: where events are sent, deliveries, and the secrets that sign them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import webhooks
from jobcore.models.webhooks import WebhookEvent, WebhookFormat
from jobcore.states import Status
from longrun_api.times import Utc


class WebhookSummary(BaseModel):
    """Where events of a task are sent."""

    url: str
    events: list[WebhookEvent]
    format: WebhookFormat = WebhookFormat.STANDARD


class Delivery(BaseModel):
    """An event on its way to a webhook. It is a task of its own: its attempts are at `/tasks/{delivery_id}/attempts`,
    and `POST /tasks/{delivery_id}/redeliver` sends its message once more."""

    delivery_id: UUID = Field(description="The header `webhook-id`, the same for each attempt.")
    task_id: UUID | None = Field(description="The task of the event; null: the event is of no task.")
    webhook_id: UUID | None = Field(description="The webhook of `/webhooks`; null: the task names its webhook itself.")
    seq: int | None = Field(description="The `seq` of the event; null: it is of no task.")
    type: str = Field(description="The event.", examples=["task.success"])
    url: str
    status: Status = Field(description="`SUCCESS`: delivered. `FAILED`: given up. `PENDING`: `next_at` says when.")
    attempts: int = Field(description="How often it was sent, or is being sent.")
    status_code: int | None = Field(description="What the receiver answered last; null: nothing yet.")
    latency_ms: int | None = Field(description="How long that answer took.")
    error: str | None = Field(description="Why the latest attempt failed.")
    created_at: Utc
    next_at: Utc | None = Field(description="When it is sent next.")
    finished_at: Utc | None

    @classmethod
    def of(cls, delivery: webhooks.Delivery) -> Self:
        """The delivery as clients see it."""
        answer = delivery.result or delivery.error or {}
        return cls(
            delivery_id=delivery.id,
            task_id=delivery.task_id,
            webhook_id=delivery.webhook_id,
            seq=delivery.seq,
            type=delivery.type,
            url=delivery.url,
            status=delivery.status,
            attempts=delivery.attempt,
            status_code=answer.get("status_code"),
            latency_ms=answer.get("latency_ms"),
            error=(delivery.error or {}).get("message"),
            created_at=delivery.created_at,
            next_at=delivery.run_at if delivery.status is Status.PENDING else None,
            finished_at=delivery.finished_at,
        )


class DeliveryList(BaseModel):
    """The latest deliveries of the events of a task, newest first."""

    items: list[Delivery]


class WebhookSecret(BaseModel):
    """A secret with which deliveries are signed."""

    secret: str = Field(
        description="Give it to the receiver, which verifies signatures with it. Of a webhook with `v1a` it is the "
        "public key, `whpk_…`."
    )
    created_at: Utc
    expires_at: Utc | None = Field(description="Until when it signs; null: until it is rotated.")

    @classmethod
    def of(cls, secret: webhooks.WebhookSecret) -> Self:
        """The secret as clients see it."""
        return cls(secret=secret.text, created_at=secret.created_at, expires_at=secret.expires_at)


class WebhookSecretList(BaseModel):
    """The secrets that sign deliveries, newest first: one, or two after a rotation."""

    items: list[WebhookSecret]


def shown_secrets(found: Iterable[webhooks.WebhookSecret]) -> Response:
    """The secrets as a response."""
    shown = WebhookSecretList(items=[WebhookSecret.of(each) for each in found])
    # no cache may keep the secrets (RFC 9111, section 5.2.2.5)
    return Response(shown.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")


class SecretRotation(BaseModel):
    """How to replace the secret."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] = Field(
        86_400, description="Seconds for which the old secret also signs, so that receivers have time to change."
    )
