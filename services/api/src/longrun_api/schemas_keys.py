"""API keys as clients send and see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobcore.models import api_keys
from jobcore.models.caller import Scope
from longrun_api.field_types import Key as Text
from longrun_api.field_types import Owner, Time
from longrun_api.times import Utc

LONGEST_S: Final = 100 * 366 * 86_400
OWNER: Final = "Whose tasks the key is for; null: the operator's, which sees those of everyone."
Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]


class Expiring(BaseModel):
    """When a key expires: at a time, or in some seconds; by default never."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_at: Time = Field(None, description="From then on the key is refused.")
    expires_in_s: Seconds | None = Field(None, description="Seconds until then; cannot be combined with `expires_at`.")

    @model_validator(mode="after")
    def _is_one_time(self) -> Self:
        if self.expires_at is not None and self.expires_in_s is not None:
            raise ValueError("expires_at and expires_in_s cannot be combined")
        return self

    def at(self) -> datetime | None:
        """When the key expires; None: never."""
        if self.expires_in_s is None:
            return self.expires_at
        return datetime.now(UTC) + timedelta(seconds=self.expires_in_s)


class KeyRequest(Expiring):
    """A key to make."""

    name: Text = Field(description="What people call it, such as the program that uses it.")
    owner: Owner | None = Field(None, description=f"{OWNER} By default that of the key with which it is made.")
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(
        min_length=1, max_length=len(Scope), description="What it may do; `admin` includes all others."
    )


class Rotation(Expiring):
    """How to replace a key."""

    overlap_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] = Field(
        0, description="Seconds for which the old key is still accepted."
    )


class ApiKey(BaseModel):
    """An API key, without the secret."""

    id: str
    name: str
    owner: str | None = Field(description=OWNER)
    scopes: list[Scope]
    created_at: Utc
    expires_at: Utc | None
    last_used_at: Utc | None = Field(description="When it was used last, give or take two minutes.")
    revoked_at: Utc | None

    @classmethod
    def of(cls, key: api_keys.ApiKey) -> Self:
        """The key as clients see it."""
        return cls(
            id=key.id,
            name=key.name,
            owner=key.owner,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked_at=key.revoked_at,
        )


class ApiKeyWithSecret(ApiKey):
    """A key that was just made, with the only copy of its secret."""

    key: str = Field(description="Send it as `Authorization: Bearer <key>`. It is never shown again.")


class ApiKeyPage(BaseModel):
    """A page of keys, newest first; revoked and expired ones too."""

    items: list[ApiKey]
    next: str | None = Field(description="Pass it as `after` to get the next page; null on the last page.")
