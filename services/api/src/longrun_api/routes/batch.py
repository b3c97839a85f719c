"""`POST /tasks:batch`: submit up to 1,000 tasks in one request."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from jobcore.models.caller import Scope
from longrun_api import batch_acceptance, validation
from longrun_api.auth.scopes import needs
from longrun_api.idempotency import PARAMETER as KEY
from longrun_api.openapi import problem_responses
from longrun_api.schemas_batch import BatchAnswer

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.post(
    ":batch",
    response_model=BatchAnswer,
    responses=problem_responses(400, 409, 413, 415, 422, 429, 503),
    openapi_extra={"parameters": [KEY, validation.PARAMETER]},
)
@needs(Scope.SUBMIT)
async def submit_tasks(request: Request) -> Response:
    """Submit up to 1,000 tasks, in one transaction. The response is sent once they are stored durably.

    All are accepted or, if one is refused, none; with `"atomic": false`, each is accepted or refused by itself.
    """
    if validation.is_wanted(request):
        return await batch_acceptance.validate_batch(request)
    return await batch_acceptance.accept_batch(request)
