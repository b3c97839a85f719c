"""Where events are sent, as a submission says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jobcore.errors import FieldError
from jobcore.models import webhooks
from jobcore.models.webhooks import ENDS, WebhookEvent, WebhookFormat
from jobcore.outbound.errors import InvalidUrl
from jobcore.outbound.urls import WebUrl, web_url
from jobcore.settings.allowed import endpoint

Url = Annotated[
    str,
    Field(
        max_length=2048,
        description="http:// or https://, on the public internet.",
        examples=["https://example.com/hook"],
    ),
]
Format = Annotated[
    WebhookFormat,
    Field(
        strict=False,
        description="`standard`: as Standard Webhooks recommends it. `cloudevents`: the structured mode of "
        "CloudEvents 1.0.",
    ),
]


class Webhook(BaseModel):
    """Where to send a task's events."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: Url
    events: list[Annotated[WebhookEvent, Field(strict=False)]] = Field(
        default_factory=lambda: list(ENDS),
        min_length=1,
        max_length=len(WebhookEvent),
        description="Which events; by default, the end of the task.",
        json_schema_extra={"default": list(ENDS)},
    )
    format: Format = WebhookFormat.STANDARD

    def stored(self) -> webhooks.Webhook:
        """The same, as the store has it; raises InvalidUrl."""
        url = web_url(self.url)
        return webhooks.Webhook(url.href, host_of(url), tuple(self.events), self.format)


def host_of(url: WebUrl) -> str:
    """The host and the port, which a limit of deliveries counts for."""
    return endpoint(url.host, url.port)


def url_problems(url: str, field: str) -> Iterator[FieldError]:
    """What is wrong with the URL in this field."""
    try:
        web_url(url)
    except InvalidUrl as error:
        yield FieldError(field, str(error))
