"""Responses about API keys."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from longrun_client.wire import KeysetPage, Wire


class ApiKey(Wire):
    """An API key, without the secret."""

    id: str
    name: str
    owner: str | None = None
    """Whose tasks it is for; None: the operator's, which sees those of everyone."""
    scopes: tuple[str, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None
    """When it was used last, give or take two minutes."""
    revoked_at: AwareDatetime | None = None


class NewApiKey(ApiKey):
    """A key that was just made, with the only copy of its secret."""

    key: str = Field(repr=False)


class ApiKeyPage(KeysetPage[ApiKey]):
    """A page of keys, newest first."""
