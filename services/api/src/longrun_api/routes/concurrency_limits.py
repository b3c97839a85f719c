"""`/concurrency-limits`: how many tasks with the same `concurrency_key` run at once."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jobcore.models import owned_keys
from jobcore.models.caller import Scope
from jobcore.store import concurrency_limits
from jobcore.store.concurrency_limits import ConcurrencyLimit
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import caller_of, owner_to_look_at
from longrun_api.field_types import Integer
from longrun_api.key_parameters import AfterKey, OfOwner, key_in_path, stored_key
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of

router = APIRouter(prefix="/concurrency-limits", tags=["queues"])

Key = Annotated[str, key_in_path("The `concurrency_key` of tasks.")]


class Limit(BaseModel):
    """Maximum number of tasks that run at once; 0 lets none start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_running: Integer = Field(ge=0, le=1_000_000)


class LimitOfKey(Limit):
    """A concurrency key and its limit."""

    key: str
    owner: str | None = Field(description="Whose key it is; null: the operator's.")

    @classmethod
    def of(cls, limit: ConcurrencyLimit) -> Self:
        """The limit as clients see it."""
        return cls(key=owned_keys.name(limit.key), owner=owned_keys.owner_of(limit.key), max_running=limit.max_running)


class LimitPage(BaseModel):
    """A page of the limits that were set, by key. For any other key, the limit is 1.

    A limit above 0 is deleted when no task of its key was due for `LONGRUN_RETENTION_DAYS` days.
    """

    items: list[LimitOfKey]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.READ)
async def list_limits(
    request: Request,
    after: AfterKey = "",
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of items in the page.")] = 100,
    owner: OfOwner = None,
) -> LimitPage:
    """List the limits that were set, by key: those of an owner or, for the operator, all."""
    of = owner_to_look_at(caller_of(request), owner)
    found = await runtime_of(request).database.call(concurrency_limits.page, after, limit, of)
    return LimitPage(items=list(map(LimitOfKey.of, found)), next=found[-1].key if len(found) == limit else None)


@router.put("/{key:path}", responses=problem_responses(400, 413, 415, 422, 503), openapi_extra=request_body(Limit))
@needs(Scope.OPERATE)
async def put_limit(
    request: Request, key: Key, limit: Annotated[Limit, Depends(json_body(Limit))], owner: OfOwner = None
) -> LimitOfKey:
    """Set how many tasks of this key run at once, from the response on. Running tasks continue."""
    wanted = ConcurrencyLimit(stored_key(request, owner, key), limit.max_running)
    await runtime_of(request).database.call(concurrency_limits.put, wanted)
    return LimitOfKey.of(wanted)


@router.delete("/{key:path}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(422, 503))
@needs(Scope.OPERATE)
async def delete_limit(request: Request, key: Key, owner: OfOwner = None) -> Response:
    """Remove the limit of this key: its tasks run one at a time again."""
    await runtime_of(request).database.call(concurrency_limits.delete, stored_key(request, owner, key))
    return Response(status_code=HTTPStatus.NO_CONTENT)
