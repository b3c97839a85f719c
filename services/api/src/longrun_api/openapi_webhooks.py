"""The webhooks of the OpenAPI document (OpenAPI 3.1, `webhooks`): what receivers are sent, and what they may answer."""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jobcore.models.webhooks import PING, SubscribedEvent, WebhookEvent
from jobcore.states import Status
from longrun_api.times import Utc


class EventOfTask(BaseModel):
    """What became of a task. It may gain members."""

    model_config = ConfigDict(extra="allow")

    task_id: UUID
    seq: int = Field(description="The `seq` of the event, the cursor of streams: compare it, and continue there.")
    status: Status
    task_type: str
    queue: str
    owner: str | None
    attempt: int
    tags: list[str]
    created_at: Utc
    started_at: Utc | None
    finished_at: Utc | None
    omitted: list[str] = Field(description="Which of `result`, `error` and `metadata` are too large, and left out.")
    self: str = Field(description="Below the address of the API: the task, with what is left out.")
    metadata: dict[str, Any] | None
    result: Any = Field(description="The output of the task; null unless the status is SUCCESS.")
    error: dict[str, Any] | None


class DisabledWebhook(BaseModel):
    """A webhook that is sent no more events."""

    model_config = ConfigDict(extra="allow")

    webhook_id: UUID
    owner: str | None
    url: str
    disabled_at: Utc
    reason: str


class Ping(BaseModel):
    """Nothing but that it arrives."""

    model_config = ConfigDict(extra="allow")

    webhook_id: UUID


class TaskMessage(BaseModel):
    """A task has become RUNNING, or has ended."""

    type: WebhookEvent
    timestamp: Utc
    data: EventOfTask


class DisabledMessage(BaseModel):
    """Another webhook of the same owner was disabled, because its receiver failed for days or wants no more."""

    type: Literal["webhook.disabled"]
    timestamp: Utc
    data: DisabledWebhook


class PingMessage(BaseModel):
    """Somebody tries the webhook."""

    type: Literal["webhook.ping"]
    timestamp: Utc
    data: Ping


MESSAGES: Final[dict[str, type[BaseModel]]] = {
    **dict.fromkeys(WebhookEvent, TaskMessage),
    SubscribedEvent.DISABLED: DisabledMessage,
    PING: PingMessage,
}
"""What is sent, by its type."""
HEADERS: Final = {
    "webhook-id": "The id of the message, the same each time that it is sent: remember it, and accept each once.",
    "webhook-timestamp": "When it is sent, in seconds since 1970. Refuse one that is more than five minutes away.",
    "webhook-signature": "The signatures of Standard Webhooks 1.0, with spaces between them: `v1,…` or `v1a,…`.",
}


def operations() -> dict[str, Any]:
    """The `webhooks` of the document, by the types of their messages."""
    return {str(kind): {"post": _operation(str(kind), model)} for kind, model in MESSAGES.items()}


def _operation(kind: str, model: type[BaseModel]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in HEADERS.items()
    ]
    name = "".join(part.capitalize() for part in kind.split("."))
    return {
        "operationId": f"on{name}",
        "tags": ["webhooks"],
        "summary": f"{model.__doc__}".partition(".")[0],
        "description": f"{model.__doc__}\n\nWith the format `cloudevents`, `data` is the same, in an event of "
        "CloudEvents 1.0.",
        "security": [],
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
        },
        "responses": {
            "2XX": {"description": "The message is accepted; nobody reads the body."},
            "410": {"description": "No more events are wanted: a webhook of `/webhooks` is disabled."},
            "default": {"description": "The message is sent again later, after `Retry-After` if that is given."},
        },
    }
