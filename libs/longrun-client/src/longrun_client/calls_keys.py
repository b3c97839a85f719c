"""Calls of the API for API keys. A key whose answer is lost was made all the same: revoke it, and make another."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from longrun_client.calls import PAGE_SIZE, Call, without_none
from longrun_client.models_keys import ApiKey, ApiKeyPage, NewApiKey
from longrun_client.wire import KeysetPage


def key_page(after: str | None) -> Call[KeysetPage[ApiKey]]:
    """GET /keys: one page, newest first."""
    params = without_none({"limit": PAGE_SIZE, "after": after})
    return Call("GET", "/keys", ApiKeyPage.model_validate, params=params)


def key(key_id: str) -> Call[ApiKey]:
    """GET /keys/{id}."""
    return Call("GET", _path(key_id), ApiKey.model_validate)


def create_key(name: str, scopes: Sequence[str], owner: str | None, expires_in_s: float | None) -> Call[NewApiKey]:
    """POST /keys."""
    body = {"name": name, "scopes": list(scopes), "owner": owner, "expires_in_s": expires_in_s}
    return Call("POST", "/keys", NewApiKey.model_validate, body=body)


def rotate_key(key_id: str, overlap_s: float, expires_in_s: float | None) -> Call[NewApiKey]:
    """POST /keys/{id}/rotate."""
    body = {"overlap_s": overlap_s, "expires_in_s": expires_in_s}
    return Call("POST", f"{_path(key_id)}/rotate", NewApiKey.model_validate, body=body)


def revoke_key(key_id: str) -> Call[ApiKey]:
    """DELETE /keys/{id}."""
    return Call("DELETE", _path(key_id), ApiKey.model_validate)


def _path(key_id: str) -> str:
    return f"/keys/{quote(key_id, safe='')}"
