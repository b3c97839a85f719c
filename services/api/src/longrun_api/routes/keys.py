"""`/keys`: make, list, rotate and revoke API keys."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from jobcore.errors import LongrunError
from jobcore.models.api_keys import KEY_ID, ApiKey, KeyDigest, NewApiKey, new_key
from jobcore.models.caller import Scope
from jobcore.store import api_keys
from longrun_api import schemas_keys as schemas
from longrun_api.auth.scopes import needs
from longrun_api.body import json_body
from longrun_api.callers import caller_of, owner_to_look_at
from longrun_api.openapi import problem_responses, request_body
from longrun_api.runtime import runtime_of

router = APIRouter(prefix="/keys", tags=["keys"])

PATTERN = f"^{KEY_ID.pattern}$"
KeyId = Annotated[str, Path(pattern=PATTERN, description="The `id` of the key.")]


class KeyNotFound(LongrunError):
    """No key has that id, or it cannot be used any more."""

    status = 404
    slug = "key-not-found"
    title = "There is no such key"


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=schemas.ApiKeyWithSecret,
    responses=problem_responses(400, 403, 413, 415, 422, 503),
    openapi_extra=request_body(schemas.KeyRequest),
)
@needs(Scope.ADMIN)
async def create_key(
    request: Request, wanted: Annotated[schemas.KeyRequest, Depends(json_body(schemas.KeyRequest))]
) -> Response:
    """Make a key. The answer is the only place that ever shows it: only its hash is stored."""
    owner, key = owner_to_look_at(caller_of(request), wanted.owner), new_key()
    new = NewApiKey(_digest(key), wanted.name, owner, frozenset(wanted.scopes), wanted.at())
    return _shown_once(request, key, await runtime_of(request).database.call(api_keys.add, new))


@router.get("", responses=problem_responses(422, 503))
@needs(Scope.ADMIN)
async def list_keys(
    request: Request,
    after: Annotated[str | None, Query(pattern=PATTERN, description="`next` of the previous page.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of items in the page.")] = 100,
) -> schemas.ApiKeyPage:
    """List keys, newest first; never their secrets."""
    found = await runtime_of(request).database.call(api_keys.page, caller_of(request).owner, after, limit + 1)
    items = [schemas.ApiKey.of(key) for key in found[:limit]]
    return schemas.ApiKeyPage(items=items, next=items[-1].id if len(found) > limit else None)


@router.get("/{key_id}", responses=problem_responses(404, 422, 503))
@needs(Scope.ADMIN)
async def get_key(request: Request, key_id: KeyId) -> schemas.ApiKey:
    """Get a key, without its secret."""
    owner = caller_of(request).owner
    return schemas.ApiKey.of(_found(await runtime_of(request).database.call(api_keys.find, key_id, owner)))


@router.post(
    "/{key_id}/rotate",
    status_code=HTTPStatus.CREATED,
    response_model=schemas.ApiKeyWithSecret,
    responses=problem_responses(400, 404, 413, 415, 422, 503),
    openapi_extra=request_body(schemas.Rotation),
)
@needs(Scope.ADMIN)
async def rotate_key(
    request: Request, key_id: KeyId, wanted: Annotated[schemas.Rotation, Depends(json_body(schemas.Rotation))]
) -> Response:
    """Make a key with the name, owner and scopes of this one, which expires at once or after `overlap_s` seconds."""
    owner, key = caller_of(request).owner, new_key()
    new = NewApiKey(_digest(key), "", owner, frozenset(), wanted.at())
    rotated = await runtime_of(request).database.call(api_keys.rotate, key_id, new, wanted.overlap_s, owner)
    return _shown_once(request, key, _found(rotated))


@router.delete("/{key_id}", responses=problem_responses(404, 422, 503))
@needs(Scope.ADMIN)
async def revoke_key(request: Request, key_id: KeyId) -> schemas.ApiKey:
    """Revoke a key for good: within 5 seconds it is refused, and its open streams end."""
    owner = caller_of(request).owner
    return schemas.ApiKey.of(_found(await runtime_of(request).database.call(api_keys.revoke, key_id, owner)))


def _digest(key: str) -> KeyDigest:
    digest = KeyDigest.of(key)
    assert digest is not None
    return digest


def _found(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise KeyNotFound("it does not exist, or it has expired or was revoked: GET /keys lists all")
    return key


def _shown_once(request: Request, key: str, stored: ApiKey) -> Response:
    shown = schemas.ApiKeyWithSecret(**schemas.ApiKey.of(stored).model_dump(), key=key)
    location = f"{request.scope.get('root_path', '')}/keys/{stored.id}"
    # no cache may keep the secret (RFC 9111, section 5.2.2.5)
    headers = {"Location": location, "Cache-Control": "no-store"}
    return Response(shown.model_dump_json(), HTTPStatus.CREATED, headers, "application/json")
