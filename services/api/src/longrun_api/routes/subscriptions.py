"""`/webhooks`: subscriptions, which are webhooks for all tasks of an owner or for those of a filter."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from jobcore.errors import InvalidInput, LongrunError
from jobcore.models import IdempotencyKey
from jobcore.models.acts import Kind
from jobcore.models.caller import Scope
from jobcore.models.subscriptions import NewSubscription, Subscription
from jobcore.store import audit_log, deliveries, subscriptions
from jobcore.store.idempotency import StoredAnswer
from jobcore.telemetry import traces
from longrun_api import answers, cursors
from longrun_api import schemas_subscriptions as schemas
from longrun_api import schemas_webhooks as common
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body, read_as
from longrun_api.callers import caller_of, owner_of, owner_to_look_at
from longrun_api.idempotency import TAKES_KEY, key_of, key_of_body, key_text
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.submission import parse_as

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

Cursor = Annotated[str | None, Query(description="`next` of the previous page.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Maximum number of items in the page.")]


class WebhookNotFound(LongrunError):
    """No webhook of the caller has that id."""

    status = 404
    slug = "webhook-not-found"
    title = "There is no such webhook"


class TooManyWebhooks(LongrunError):
    """The owner has as many as it may have."""

    status = 409
    slug = "too-many-webhooks"
    title = "There are too many webhooks"


async def find(
    request: Request,
    webhook_id: Annotated[
        str, Path(description="The `webhook_id` of the webhook.", json_schema_extra={"format": "uuid"})
    ],
) -> Subscription:
    """The subscription that the path names; raises WebhookNotFound.

    Routes learn one from here alone, so those of other owners do not exist for any of them.
    """
    try:
        key = UUID(webhook_id)
    except ValueError:
        raise _unknown(webhook_id) from None
    return _found(await runtime_of(request).database.call(subscriptions.find, key, owner_of(request)), key)


Found = Annotated[Subscription, Depends(find)]


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=schemas.WebhookInfo,
    responses=problem_responses(400, 409, 413, 415, 422, 503),
    openapi_extra={**TAKES_KEY, **request_body(schemas.WebhookRequest)},
)
@needs(Scope.ADMIN)
async def create_webhook(request: Request) -> Response:
    """Make a webhook for all tasks of an owner, or for those of a filter."""
    text, caller, prefix = key_text(request), caller_of(request), request.scope.get("root_path", "")

    def read(body: bytes) -> tuple[NewSubscription | InvalidInput, IdempotencyKey | None]:
        asked = parse_as(schemas.WebhookRequest, body)
        try:
            new = asked.new(owner_to_look_at(caller, asked.owner))
        except InvalidInput as refusal:
            return refusal, key_of_body(request, text, body, refusal)
        return new, key_of_body(request, text, body, None)

    def create(new: NewSubscription, connection: Any) -> tuple[StoredAnswer, Subscription]:
        made = subscriptions.add(connection, new)
        if made is None:
            raise TooManyWebhooks(f"an owner has at most {subscriptions.MOST}: change one, or delete one")
        shown = schemas.WebhookInfo.of(made).model_dump_json()
        return StoredAnswer(HTTPStatus.CREATED, f"{prefix}/webhooks/{made.id}", shown), made

    new, key = await read_as(request, read)
    if isinstance(new, InvalidInput):
        return await answers.repeated(request, key, new)
    answer, made = await answers.once(request, key, partial(create, new))
    return answers.response(answer, replayed=made is None)


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.ADMIN)
async def list_webhooks(request: Request, cursor: Cursor = None, limit: Limit = 50) -> schemas.WebhookPage:
    """List webhooks, newest first."""
    before = None if cursor is None else cursors.decode(cursor)
    found = await runtime_of(request).database.call(subscriptions.page, owner_of(request), before, limit + 1)
    items = [schemas.WebhookInfo.of(each) for each in found[:limit]]
    return schemas.WebhookPage(items=items, next=cursors.encode(found[limit - 1].id) if len(found) > limit else None)


@router.get("/{webhook_id}", responses=problem_responses(404, 503))
@needs(Scope.ADMIN)
async def get_webhook(webhook: Found) -> schemas.WebhookInfo:
    """Get a webhook: its settings, and whether its receiver fails."""
    return schemas.WebhookInfo.of(webhook)


@router.patch(
    "/{webhook_id}",
    responses=problem_responses(400, 404, 413, 415, 422, 503),
    openapi_extra=request_body(schemas.WebhookChange),
)
@needs(Scope.ADMIN)
async def change_webhook(
    request: Request,
    webhook: Found,
    wanted: Annotated[schemas.WebhookChange, Depends(json_body(schemas.WebhookChange))],
) -> schemas.WebhookInfo:
    """Change a webhook, disable it, or enable it again. What is not delivered yet goes to its new URL."""
    changed = await runtime_of(request).database.call(subscriptions.change, webhook.id, wanted.settings())
    return schemas.WebhookInfo.of(_found(changed, webhook.id))


@router.delete("/{webhook_id}", responses=problem_responses(404, 503))
@needs(Scope.ADMIN)
async def delete_webhook(request: Request, webhook: Found) -> schemas.WebhookInfo:
    """Delete a webhook and return its last state. What is not delivered yet fails."""
    gone = await runtime_of(request).database.call(subscriptions.delete, webhook.id)
    return schemas.WebhookInfo.of(_found(gone, webhook.id))


@router.get("/{webhook_id}/secrets", response_model=common.WebhookSecretList, responses=problem_responses(404, 503))
@needs(Scope.ADMIN)
async def list_secrets_of_webhook(request: Request, webhook: Found) -> Response:
    """Get what receivers verify the deliveries of a webhook with, newest first: one, or two after a rotation."""
    return common.shown_secrets(await runtime_of(request).database.call(subscriptions.secrets, webhook.id))


@router.post(
    "/{webhook_id}/secrets",
    response_model=common.WebhookSecretList,
    responses=problem_responses(400, 404, 413, 415, 422, 503),
    openapi_extra=request_body(common.SecretRotation),
)
@needs(Scope.ADMIN)
async def rotate_secret_of_webhook(
    request: Request,
    webhook: Found,
    wanted: Annotated[common.SecretRotation, Depends(json_body(common.SecretRotation))],
) -> Response:
    """Make a new secret or private key. The one before it also signs for `overlap_s` seconds, older ones no more."""
    rotated = await runtime_of(request).database.call(subscriptions.rotate, webhook.id, wanted.overlap_s)
    return common.shown_secrets(rotated)


@router.post(
    "/{webhook_id}/ping",
    status_code=HTTPStatus.ACCEPTED,
    response_model=common.Delivery,
    responses=problem_responses(400, 404, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.ADMIN)
async def ping_webhook(request: Request, webhook: Found) -> Response:
    """Send the event `webhook.ping`, to try a webhook, even a disabled one. The answer is its delivery."""

    def send(connection: Any) -> tuple[StoredAnswer, UUID]:
        sent = subscriptions.ping(connection, webhook.id, traces.current_traceparent())
        delivery = None if sent is None else deliveries.find(connection, sent)
        if delivery is None:
            raise _unknown(webhook.id)
        audit_log.note(connection, Kind.WEBHOOK, str(webhook.id), webhook.owner)
        return StoredAnswer(HTTPStatus.ACCEPTED, None, common.Delivery.of(delivery).model_dump_json()), delivery.id

    answer, sent = await answers.once(request, key_of(request), send)
    return answers.response(answer, replayed=sent is None)


@router.get("/{webhook_id}/deliveries", responses=problem_responses(404, 422, 503))
@needs(Scope.ADMIN)
async def list_deliveries_of_webhook(
    request: Request, webhook: Found, cursor: Cursor = None, limit: Limit = 50
) -> schemas.DeliveryPage:
    """List the deliveries to a webhook, newest first, with what its receiver answered and how long that took."""
    before = None if cursor is None else cursors.decode(cursor)
    found = await runtime_of(request).database.call(deliveries.of_webhook, webhook.id, before, limit + 1)
    items = [common.Delivery.of(each) for each in found[:limit]]
    return schemas.DeliveryPage(items=items, next=cursors.encode(found[limit - 1].id) if len(found) > limit else None)


def _found(stored: Subscription | None, webhook_id: UUID) -> Subscription:
    if stored is None:
        raise _unknown(webhook_id)
    return stored


def _unknown(webhook_id: UUID | str) -> WebhookNotFound:
    return WebhookNotFound(f"no webhook has the id {str(webhook_id)[:100]!r}; GET /webhooks lists them")
