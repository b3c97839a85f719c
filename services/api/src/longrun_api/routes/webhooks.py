"""`/webhook-secrets`, and deliveries: what signs deliveries, and what became of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from jobcore.errors import LongrunError
from jobcore.models.caller import Scope
from jobcore.store import deliveries, webhook_secrets
from jobcore.store.idempotency import StoredAnswer
from longrun_api import answers
from longrun_api import schemas_webhooks as schemas
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import owner_of
from longrun_api.idempotency import TAKES_KEY, key_of
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.task_ids import TaskId

router = APIRouter(tags=["webhooks"])


class NotADelivery(LongrunError):
    """The task delivers no event."""

    status = 409
    slug = "not-a-delivery"
    title = "This task is not a delivery"


@router.get("/tasks/{task_id}/deliveries", responses=problem_responses(404, 503))
@needs(Scope.READ)
async def list_deliveries(request: Request, task_id: TaskId) -> schemas.DeliveryList:
    """List the latest deliveries of the events of a task, newest first. An owner sees those to its own webhooks."""
    found = await runtime_of(request).database.call(deliveries.of_job, task_id, owner_of(request))
    return schemas.DeliveryList(items=[schemas.Delivery.of(each) for each in found])


@router.post(
    "/tasks/{task_id}/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    response_model=schemas.Delivery,
    responses=problem_responses(400, 404, 409, 503),
    openapi_extra=TAKES_KEY,
)
@needs(Scope.SUBMIT)
async def redeliver(request: Request, task_id: TaskId) -> Response:
    """Send the message of a delivery once more, whatever became of it: the same body with the same `webhook-id`.

    The answer is a delivery of its own. `task_id` is the `delivery_id` of the one to repeat.
    """

    def repeat(connection: Any) -> tuple[StoredAnswer, UUID]:
        made = deliveries.again(connection, task_id)
        if made is None:
            raise NotADelivery("only deliveries can be sent again: GET /tasks/{id}/deliveries lists those of a task")
        return StoredAnswer(HTTPStatus.ACCEPTED, None, schemas.Delivery.of(made).model_dump_json()), made.id

    answer, made = await answers.once(request, key_of(request), repeat)
    return answers.response(answer, replayed=made is None)


@router.get("/webhook-secrets", response_model=schemas.WebhookSecretList, responses=problem_responses(422, 503))
@needs(Scope.ADMIN)
async def list_webhook_secrets(request: Request) -> Response:
    """Get the secrets that sign the deliveries of the caller's owner, newest first: one, or two after a rotation."""
    found = await runtime_of(request).database.call(webhook_secrets.live, owner_of(request))
    return schemas.shown_secrets(found)


@router.post(
    "/webhook-secrets",
    response_model=schemas.WebhookSecretList,
    responses=problem_responses(400, 413, 415, 422, 503),
    openapi_extra=request_body(schemas.SecretRotation),
)
@needs(Scope.ADMIN)
async def rotate_webhook_secret(
    request: Request, wanted: Annotated[schemas.SecretRotation, Depends(json_body(schemas.SecretRotation))]
) -> Response:
    """Make a new secret. The one before it also signs for `overlap_s` seconds, older ones no more."""
    database, owner = runtime_of(request).database, owner_of(request)
    return schemas.shown_secrets(await database.call(webhook_secrets.rotate, owner, wanted.overlap_s))
