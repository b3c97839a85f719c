"""`/quotas`: what single owners may take, where it differs from the settings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import owned_keys
from jobcore.models.caller import Scope
from jobcore.store import quotas
from jobcore.store.quotas import Quota
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import operators_only
from longrun_api.field_types import WHOLE
from longrun_api.key_parameters import AfterKey
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of

router = APIRouter(prefix="/quotas", tags=["keys"], dependencies=[Depends(operators_only)])

OwnerInPath = Annotated[
    str, Path(min_length=1, max_length=owned_keys.OWNER_MAX, pattern=owned_keys.OWNER, description="The owner.")
]


class QuotaRequest(BaseModel):
    """What an owner may take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    submissions: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = Field(
        description="Tasks that the owner may submit in a second; null: any number."
    )


class QuotaOfOwner(BaseModel):
    """What an owner may take."""

    owner: str
    submissions: int | None = Field(description="Tasks that it may submit in a second; null: any number.")
    is_default: bool = Field(description="Whether these are the quotas of the settings.")

    @classmethod
    def of(cls, quota: Quota, *, is_default: bool = False) -> Self:
        """The quota as clients see it."""
        return cls(owner=quota.owner, submissions=quota.submissions, is_default=is_default)


class QuotaPage(BaseModel):
    """A page of the owners that have quotas of their own, by owner. Any other owner has those of the settings."""

    items: list[QuotaOfOwner]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


@router.get("", responses=problem_responses(403, 422, 503))
@needs(Scope.ADMIN)
async def list_quotas(
    request: Request,
    after: AfterKey = "",
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of items in the page.")] = 100,
) -> QuotaPage:
    """List the owners that have quotas of their own."""
    found = await runtime_of(request).database.call(quotas.page, after, limit + 1)
    shown = found[:limit]
    return QuotaPage(items=list(map(QuotaOfOwner.of, shown)), next=shown[-1].owner if len(found) > limit else None)


@router.get("/{owner:path}", responses=problem_responses(403, 422, 503))
@needs(Scope.ADMIN)
async def get_quota(request: Request, owner: OwnerInPath) -> QuotaOfOwner:
    """Get what an owner may take: its own quotas, or else those of the settings."""
    runtime = runtime_of(request)
    own = await runtime.database.call(quotas.find, owner)
    return QuotaOfOwner.of(runtime.quotas.of(owner, own), is_default=own is None)


@router.put(
    "/{owner:path}",
    responses=problem_responses(400, 403, 413, 415, 422, 503),
    openapi_extra=request_body(QuotaRequest),
)
@needs(Scope.ADMIN)
async def put_quota(
    request: Request, owner: OwnerInPath, wanted: Annotated[QuotaRequest, Depends(json_body(QuotaRequest))]
) -> QuotaOfOwner:
    """Give an owner quotas of its own. They hold within five seconds."""
    runtime, quota = runtime_of(request), Quota(owner, wanted.submissions)
    await runtime.database.call(quotas.put, quota)
    await runtime.quotas.refresh()
    return QuotaOfOwner.of(quota)


@router.delete("/{owner:path}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(403, 422, 503))
@needs(Scope.ADMIN)
async def delete_quota(request: Request, owner: OwnerInPath) -> Response:
    """Give an owner the quotas of the settings, within five seconds."""
    runtime = runtime_of(request)
    await runtime.database.call(quotas.delete, owner)
    await runtime.quotas.refresh()
    return Response(status_code=HTTPStatus.NO_CONTENT)
