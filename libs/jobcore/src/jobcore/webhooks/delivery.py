"""The task type `longrun.webhook`: sends an event to a webhook, signed as Standard Webhooks 1.0 says.

The database makes such a job in the transaction of the event. An attempt that fails is followed by others for about a
day. Redirects are not followed: a receiver tells its new URL to whoever submits.
"""

from __future__ import annotations

import time
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from jobcore.errors import PermanentError, RetryableError
from jobcore.models.webhooks import DELIVERY_QUEUE, DELIVERY_TYPE, headers
from jobcore.settings import WorkerSettings, read
from jobcore.store import webhook_secrets
from jobcore.store.database import Database
from jobcore.tasks import JobContext, task

HOUR_S: Final = 3600
ATTEMPTS: Final = 18
"""As in `deliver_event`: with the backoff below, the last one is about 24 hours after the first."""


class DeliveryInput(BaseModel):
    """An event to send: `body` is what is signed, the same in each attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    type: str
    seq: int
    body: str


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
    from jobcore.webhooks.posting import post  # only the processes that deliver import a library of HTTP

    settings = read(WorkerSettings)
    secrets = _database().call(webhook_secrets.live, ctx.owner)
    signed = headers(secrets, str(ctx.job_id), int(time.time()), input.body)
    began = time.monotonic()
    answer = post(input.url, input.body, signed, settings)
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
