"""`/webhook-secrets` and `GET /tasks/{id}/deliveries`: what signs deliveries, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from jobcore.models import webhooks as models
from jobcore.models.caller import Scope
from jobcore.store import deliveries, webhook_secrets
from longrun_api import schemas_webhooks as schemas
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import caller_of
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.task_ids import TaskId

router = APIRouter(tags=["webhooks"])


@router.get("/tasks/{task_id}/deliveries", responses=problem_responses(404, 503))
@needs(Scope.READ)
async def list_deliveries(request: Request, task_id: TaskId) -> schemas.DeliveryList:
    """List the latest deliveries of the events of a task, newest first."""
    found = await runtime_of(request).database.call(deliveries.of_job, task_id)
    return schemas.DeliveryList(items=[schemas.Delivery.of(each) for each in found])


@router.get("/webhook-secrets", response_model=schemas.WebhookSecretList, responses=problem_responses(422, 503))
@needs(Scope.ADMIN)
async def list_webhook_secrets(request: Request) -> Response:
    """Get the secrets that sign the deliveries of the caller's owner, newest first: one, or two after a rotation."""
    return _shown(await runtime_of(request).database.call(webhook_secrets.live, caller_of(request).owner))


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
    owner = caller_of(request).owner
    return _shown(await runtime_of(request).database.call(webhook_secrets.rotate, owner, wanted.overlap_s))


def _shown(found: Iterable[models.WebhookSecret]) -> Response:
    shown = schemas.WebhookSecretList(items=[schemas.WebhookSecret.of(each) for each in found])
    # no cache may keep the secrets (RFC 9111, section 5.2.2.5)
    return Response(shown.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json")
