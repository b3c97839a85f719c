"""The task type `longrun.webhook`: sends an event to a webhook, signed as Standard Webhooks 1.0 says.

The database makes such a job in the transaction of the event. An attempt that fails is followed by others for about a
day. Redirects are not followed: a receiver tells its new URL to whoever submits.
"""

from __future__ import annotations

import time
from functools import cache
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from jobcore.errors import PermanentError, RetryableError
from jobcore.models.webhooks import DELIVERY_QUEUE, DELIVERY_TYPE, PING, WebhookFormat, headers
from jobcore.settings import WorkerSettings, read
from jobcore.store.database import Database
from jobcore.tasks import JobContext, task
from jobcore.webhooks import receivers
from jobcore.webhooks.receivers import Receiver

HOUR_S: Final = 3600
ATTEMPTS: Final = 18
"""As in `send_event`: with the backoff below, the last one is about 24 hours after the first."""


class DeliveryInput(BaseModel):
    """An event to send: `body` is what is signed, the same in each attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    type: str
    seq: int | None = None
    body: str
    format: WebhookFormat = WebhookFormat.STANDARD
    webhook_id: UUID | None = None
    """The subscription; None: the job names its webhook itself, and the secrets of its owner sign."""
    message_id: UUID | None = None
    """The delivery that sent this message first; None: this one."""


class DeliveryResult(BaseModel):
    """What the receiver answered, and how long that took."""

    status_code: int
    latency_ms: int


class Gone(PermanentError):
    """The receiver wants no more events."""

    def __init__(self, message: str, details: dict[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class NotAccepted(RetryableError):
    """The receiver did not answer with 2xx."""

    def __init__(self, message: str, details: dict[str, Any], retry_after: str | None) -> None:
        super().__init__(message, _valid(retry_after))
        self.details = details


@task(
    DELIVERY_TYPE,
    input=DeliveryInput,
    output=DeliveryResult,
    queue=DELIVERY_QUEUE,
    lane="thread",
    max_attempts=ATTEMPTS,
    backoff_s=5,
    backoff_max_s=4 * HOUR_S,
    timeout_s=60,
)
def deliver(ctx: JobContext, input: DeliveryInput) -> DeliveryResult:
    """Send an event to a webhook."""
    receiver = receivers.of(_database(), ctx.owner, input.url, input.webhook_id, is_ping=input.type == PING)
    try:
        result = _sent(receiver, str(input.message_id or ctx.job_id), input)
    except (PermanentError, RetryableError) as error:
        receiver.note_failure(str(error), gone=isinstance(error, Gone))
        raise
    receiver.note_success()
    return result


def _sent(receiver: Receiver, message_id: str, input: DeliveryInput) -> DeliveryResult:
    from jobcore.webhooks.posting import post  # only the processes that deliver import a library of HTTP

    signed = headers(receiver.secrets, message_id, int(time.time()), input.body)
    began = time.monotonic()
    answer = post(receiver.url, input.body, input.format.content_type, signed, read(WorkerSettings))
    latency_ms = round(1000 * (time.monotonic() - began))
    if 200 <= answer.status_code < 300:
        return DeliveryResult(status_code=answer.status_code, latency_ms=latency_ms)
    details = {"status_code": answer.status_code, "latency_ms": latency_ms}
    said = f"the receiver answered {answer.status_code}"
    if answer.status_code == HTTPStatus.GONE:
        raise Gone(f"{said}: it wants no more events", details)
    raise NotAccepted(said, details, answer.retry_after)


def _valid(retry_after: str | None) -> str | None:
    """The header if it can be read, and is at most a day."""
    try:
        asked = RetryableError("", retry_after)
    except ValueError:
        return None
    return retry_after if asked.delay_s is not None and asked.delay_s <= 24 * HOUR_S else None


@cache
def _database() -> Database:
    """Of this process: what a delivery is signed with is nowhere but in the database."""
    settings = read(WorkerSettings)
    return Database(settings.database_url, schema=settings.database_schema, name="longrun-webhooks", pool_size=1)
