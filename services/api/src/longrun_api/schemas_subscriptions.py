"""Subscriptions as clients send and see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from jobcore.errors import FieldError, InvalidInput
from jobcore.models import subscriptions
from jobcore.models.subscriptions import NewSubscription, SubscriptionSettings
from jobcore.models.webhooks import ENDS, SignatureScheme, SubscribedEvent, WebhookFormat
from jobcore.outbound.urls import web_url
from jobcore.store import json_text
from longrun_api.field_types import QUEUE_NAME, Owner, Tag
from longrun_api.schemas_webhooks import Delivery
from longrun_api.times import Utc
from longrun_api.webhook_targets import Format, Url, host_of, url_problems

MOST_VALUES = 20
TaskType = Annotated[str, Field(min_length=1, max_length=200)]
Queue = Annotated[str, Field(pattern=QUEUE_NAME)]
Events = Annotated[
    list[Annotated[SubscribedEvent, Field(strict=False)]], Field(min_length=1, max_length=len(SubscribedEvent))
]


class WebhookFilter(BaseModel):
    """Of which tasks events are sent: of those that match every member that is not empty."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    task_type: list[TaskType] = Field(
        default_factory=list, max_length=MOST_VALUES, description="Any of these.", json_schema_extra={"default": []}
    )
    queue: list[Queue] = Field(
        default_factory=list, max_length=MOST_VALUES, description="Any of these.", json_schema_extra={"default": []}
    )
    tag: list[Tag] = Field(
        default_factory=list, max_length=MOST_VALUES, description="All of these.", json_schema_extra={"default": []}
    )


class WebhookChange(BaseModel):
    """What to change. What is absent or null stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: Url | None = None
    events: Events | None = None
    filter: WebhookFilter | None = Field(None, description="It replaces the whole filter.")
    format: Format | None = None
    enabled: bool | None = Field(
        None, description="`true` enables it again, and its days of failure count from 0; `false` disables it."
    )

    def settings(self) -> SubscriptionSettings:
        """The same, as the store has it; raises InvalidInput."""
        if problems := list(self._problems()):
            raise InvalidInput(*problems)
        url = None if self.url is None else web_url(self.url)
        return SubscriptionSettings(
            url=None if url is None else url.href,
            host=None if url is None else host_of(url),
            events=None if self.events is None else tuple(dict.fromkeys(self.events)),
            task_types=None if self.filter is None else tuple(self.filter.task_type),
            queues=None if self.filter is None else tuple(self.filter.queue),
            tags=None if self.filter is None else tuple(self.filter.tag),
            format=self.format,
            enabled=self.enabled,
        )

    def _problems(self) -> Iterator[FieldError]:
        if self.url is not None:
            yield from url_problems(self.url, "url")
        if self.filter is not None:
            for path, message in json_text.problems(self.filter.model_dump(), "filter"):
                yield FieldError(path[:200], message)


class WebhookRequest(BaseModel):
    """A webhook to make, for all tasks or for those of a filter."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: Url
    events: Events = Field(
        default_factory=lambda: [SubscribedEvent(event) for event in ENDS],
        description="Which events; by default, the ends of tasks. `webhook.disabled`: another webhook was disabled.",
    )
    filter: WebhookFilter = Field(default_factory=WebhookFilter)
    format: Format = WebhookFormat.STANDARD
    signature: Annotated[SignatureScheme, Field(strict=False)] = Field(
        SignatureScheme.V1,
        description="`v1`: HMAC-SHA256 with a secret. `v1a`: Ed25519, whose public key receivers get. It cannot be "
        "changed.",
    )
    enabled: bool = True
    owner: Owner | None = Field(
        None,
        description="Of whose tasks; by default the caller's. Only a caller without an owner may name one; without "
        "one, the webhook is the operator's, and gets events of everyone's tasks.",
    )

    def new(self, owner: str | None) -> NewSubscription:
        """The subscription to store for this owner; raises InvalidInput."""
        change = WebhookChange(
            url=self.url, events=self.events, filter=self.filter, format=self.format, enabled=self.enabled
        )
        return NewSubscription(uuid7(), owner, change.settings(), self.signature)


class WebhookInfo(BaseModel):
    """A webhook of an owner."""

    webhook_id: UUID
    owner: str | None = Field(description="Of whose tasks; null: of everyone's.")
    url: str
    events: list[SubscribedEvent]
    filter: WebhookFilter
    format: WebhookFormat
    signature: SignatureScheme
    enabled: bool
    disabled_at: Utc | None
    disabled_reason: str | None = Field(description="Why it is disabled: a client did it, or its receiver failed.")
    failing_since: Utc | None = Field(description="Since when each delivery has failed; null: the last one succeeded.")
    created_at: Utc

    @classmethod
    def of(cls, stored: subscriptions.Subscription) -> Self:
        """The subscription as clients see it."""
        return cls(
            webhook_id=stored.id,
            owner=stored.owner,
            url=stored.url,
            events=list(stored.events),
            filter=WebhookFilter(task_type=list(stored.task_types), queue=list(stored.queues), tag=list(stored.tags)),
            format=stored.format,
            signature=stored.signature,
            enabled=stored.disabled_at is None,
            disabled_at=stored.disabled_at,
            disabled_reason=stored.disabled_reason,
            failing_since=stored.failing_since,
            created_at=stored.created_at,
        )


class WebhookPage(BaseModel):
    """A page of webhooks, newest first."""

    items: list[WebhookInfo]
    next: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")


class DeliveryPage(BaseModel):
    """A page of the deliveries to a webhook, newest first."""

    items: list[Delivery]
    next: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")
