"""`/rate-limits`: how many tasks with the same `rate_key` may start within a window."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from jobcore.errors import LongrunError
from jobcore.models.caller import Scope
from jobcore.store import rate_limits
from jobcore.store.rate_limits import RateLimit, RateUse
from longrun_api import versions
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import caller_of, owner_to_look_at
from longrun_api.key_parameters import AfterKey, OfOwner, key_in_path, stored_key
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of
from longrun_api.schemas_rates import Rate, RateLimitOfKey, RateLimitPage

router = APIRouter(prefix="/rate-limits", tags=["queues"])

Key = Annotated[str, key_in_path("The `rate_key` of tasks.")]


class RateLimitNotFound(LongrunError):
    """The key has no rate limit."""

    status = 404
    slug = "rate-limit-not-found"
    title = "There is no such rate limit"


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.READ)
async def list_rate_limits(
    request: Request,
    after: AfterKey = "",
    limit: Annotated[int, Query(ge=1, le=200, description="Maximum number of items in the page.")] = 100,
    owner: OfOwner = None,
) -> RateLimitPage:
    """List the rate limits of keys, by key, with their use: those of an owner or, for the operator, all."""
    of = owner_to_look_at(caller_of(request), owner)
    found = await runtime_of(request).database.call(rate_limits.page, after, limit + 1, of)
    shown = found[:limit]
    return RateLimitPage(items=list(map(RateLimitOfKey.of, shown)), next=shown[-1].key if len(found) > limit else None)


@router.get(
    "/{key:path}",
    response_model=RateLimitOfKey,
    responses={304: versions.KNOWN, **problem_responses(404, 412, 422, 503)},
)
@needs(Scope.READ)
async def get_rate_limit(request: Request, key: Key, owner: OfOwner = None) -> Response:
    """Get the rate limit of a key, with its use."""
    return _response(request, await _find(request, stored_key(request, owner, key)))


@router.put(
    "/{key:path}",
    response_model=RateLimitOfKey,
    responses=problem_responses(400, 412, 413, 415, 422, 503),
    openapi_extra=request_body(Rate),
)
@needs(Scope.OPERATE)
async def put_rate_limit(
    request: Request, key: Key, rate: Annotated[Rate, Depends(json_body(Rate))], owner: OfOwner = None
) -> Response:
    """Set how many tasks of this key may start within a window, from the response on. Running tasks continue.

    Starts of the last minute count at once. With `If-Match`, nothing is changed if the limit is another one than when
    the client got it.
    """
    database = runtime_of(request).database
    wanted = RateLimit(stored_key(request, owner, key), rate.max_starts, rate.window_s)
    if versions.is_guarded(request):
        was = await database.call(rate_limits.find, wanted.key)
        versions.check(request, was and _settings(was))
        if was is None or not await database.call(rate_limits.put_if, was.limit, wanted):
            raise versions.changed()
    else:
        await database.call(rate_limits.put, wanted)
    return _response(request, await _find(request, wanted.key))


@router.delete("/{key:path}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(422, 503))
@needs(Scope.OPERATE)
async def delete_rate_limit(request: Request, key: Key, owner: OfOwner = None) -> Response:
    """Remove the rate limit of this key: its tasks start as soon as workers have room for them."""
    await runtime_of(request).database.call(rate_limits.delete, stored_key(request, owner, key))
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _find(request: Request, key: str) -> RateUse:
    found = await runtime_of(request).database.call(rate_limits.find, key)
    if not found:
        raise RateLimitNotFound("this rate_key has no limit: PUT one")
    return found


def _response(request: Request, use: RateUse) -> Response:
    return versions.response(request, RateLimitOfKey.of(use), _settings(use))


def _settings(use: RateUse) -> object:
    return use.max_starts, use.window_s
