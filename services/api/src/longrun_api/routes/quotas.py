"""`/quotas`: what single owners may take, where it differs from the settings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobcore.models import owned_keys
from jobcore.models.caller import Scope
from jobcore.store import quotas
from jobcore.store.quotas import Quota, Use
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import operators_only, owner_of
from longrun_api.field_types import WHOLE
from longrun_api.key_parameters import AfterKey
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import Runtime, runtime_of

router = APIRouter(prefix="/quotas", tags=["keys"])
OPERATORS: Final = [Depends(operators_only)]

OwnerInPath = Annotated[
    str, Path(min_length=1, max_length=owned_keys.OWNER_MAX, pattern=owned_keys.OWNER, description="The owner.")
]


class QuotaRequest(BaseModel):
    """What an owner may take. What is left out is as in the settings."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"minProperties": 1})

    submissions: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = Field(
        None, description="Tasks that the owner may submit in a second; null: any number."
    )
    queued: Annotated[int, Field(ge=1, le=1_000_000_000), WHOLE] | None = Field(
        None, description="Tasks of the owner that may be PENDING at once; null: any number."
    )
    names: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = Field(
        None, description="Schedules and limits that the owner may keep, together; null: any number."
    )
    streams: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = Field(
        None, description="Streams of the owner that may be open at once; null: any number."
    )
    stored_bytes: Annotated[int, Field(ge=1, le=10**15), WHOLE] | None = Field(
        None, description="Bytes of inputs, results and files that the owner may have stored; null: any number."
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must have at least one quota")
        return self


class Used(BaseModel):
    """What an owner has taken of its quotas."""

    queued: int = Field(description="Its tasks that are PENDING.")
    names: int = Field(description="Its schedules, concurrency limits and rate limits.")
    streams: int | None = Field(description="Its open streams; null: it has no such quota, or Redis is away.")
    stored_bytes: int = Field(description="Bytes of its inputs, results and files.")


class QuotaOfOwner(BaseModel):
    """What an owner may take."""

    owner: str
    submissions: int | None = Field(description="Tasks that it may submit in a second; null: any number.")
    queued: int | None = Field(description="Tasks of it that may be PENDING at once; null: any number.")
    names: int | None = Field(description="Schedules and limits that it may keep, together; null: any number.")
    streams: int | None = Field(description="Streams of it that may be open at once; null: any number.")
    stored_bytes: int | None = Field(
        description="Bytes of inputs, results and files that it may have stored; null: any number."
    )
    is_default: bool = Field(description="Whether these are the quotas of the settings.")
    used: Used

    @classmethod
    async def of(cls, use: Use, runtime: Runtime) -> Self:
        """The quotas of an owner as clients see them."""
        in_force = runtime.quotas.in_force(use.amounts)
        streams = None if in_force["streams"] is None else await runtime.stream_quota.used(use.owner)
        used = Used(queued=use.queued, names=use.names, streams=streams, stored_bytes=use.stored_bytes)
        return cls(owner=use.owner, is_default=use.amounts is None, used=used, **in_force)


class QuotaPage(BaseModel):
    """A page of the owners that have quotas of their own, by owner. Any other owner has those of the settings."""

    items: list[QuotaOfOwner]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


@router.get("", dependencies=OPERATORS, responses=problem_responses(403, 422, 503))
@needs(Scope.ADMIN)
async def list_quotas(
    request: Request,
    after: AfterKey = "",
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of items in the page.")] = 100,
) -> QuotaPage:
    """List the owners that have quotas of their own."""
    runtime = runtime_of(request)
    found = await runtime.database.call(quotas.page, after, limit + 1)
    shown = found[:limit]
    items = [await QuotaOfOwner.of(use, runtime) for use in shown]
    return QuotaPage(items=items, next=shown[-1].owner if len(found) > limit else None)


@router.get("/{owner:path}", responses=problem_responses(403, 422, 503))
@needs(Scope.READ)
async def get_quota(request: Request, owner: OwnerInPath) -> QuotaOfOwner:
    """Get what an owner may take and has taken. A caller with an owner can ask about that owner."""
    if owner_of(request) != owner:
        await operators_only(request)
    return await _shown(request, owner)


@router.put(
    "/{owner:path}",
    dependencies=OPERATORS,
    responses=problem_responses(400, 403, 413, 415, 422, 503),
    openapi_extra=request_body(QuotaRequest),
)
@needs(Scope.ADMIN)
async def put_quota(
    request: Request, owner: OwnerInPath, wanted: Annotated[QuotaRequest, Depends(json_body(QuotaRequest))]
) -> QuotaOfOwner:
    """Give an owner quotas of its own. They hold within five seconds."""
    runtime, quota = runtime_of(request), Quota(owner, wanted.model_dump(exclude_unset=True))
    await runtime.database.call(quotas.put, quota)
    await runtime.quotas.refresh()
    return await _shown(request, owner)


@router.delete(
    "/{owner:path}",
    dependencies=OPERATORS,
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(403, 422, 503),
)
@needs(Scope.ADMIN)
async def delete_quota(request: Request, owner: OwnerInPath) -> Response:
    """Give an owner the quotas of the settings, within five seconds."""
    runtime = runtime_of(request)
    await runtime.database.call(quotas.delete, owner)
    await runtime.quotas.refresh()
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _shown(request: Request, owner: str) -> QuotaOfOwner:
    runtime = runtime_of(request)
    return await QuotaOfOwner.of(await runtime.database.call(quotas.find, owner), runtime)
