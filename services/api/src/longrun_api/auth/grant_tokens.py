"""Signed texts that stand for a credential which was shown once, for a while: stream tokens and sessions of browsers.

A token says for whom it was made. What is behind it is checked as always: those of a revoked API key or of an expired
JWT are refused.

    [id of the API key, until]
    [null, until, [owner, scopes, name, until of the JWT, thumbprint of the key that signed it]]
"""

from __future__ import annotations

import time
from typing import Any, Final

from jobcore.models.caller import Caller, Scope
from longrun_api.auth.grants import Grant
from longrun_api.auth.refusals import invalid
from longrun_api.auth.signed_texts import SignedTexts
from longrun_api.database import AsyncDatabase

NOBODY: Final = Caller(owner=None, scopes=frozenset(), name="nobody")
"""Until the API key has been looked up."""


class GrantTokens:
    """Makes and reads tokens of one purpose, each valid for `lifetime_s` seconds."""

    def __init__(self, database: AsyncDatabase, purpose: str, lifetime_s: int) -> None:
        self._texts = SignedTexts(database, purpose)
        self._lifetime_s = lifetime_s

    async def make(self, grant: Grant) -> tuple[str, float]:
        """A token for the caller with this grant, and when it expires, in seconds since the epoch."""
        until = int(time.time()) + self._lifetime_s
        return await self._texts.make(said(grant, until)), until

    async def read(self, token: str) -> Grant:
        """The grant for which this token was made, to be checked again; raises Unauthenticated."""
        return meant(await self._texts.read(token))


def said(grant: Grant, until: int) -> list[Any]:
    """What a token for this grant says that is valid until then."""
    return [grant.key_id, until] if grant.key_id else [None, until, _of_jwt(grant)]


def meant(values: list[Any]) -> Grant:
    """The grant of a token that says this, to be checked again; raises Unauthenticated if its time is over."""
    key_id, until, *of_jwt = values
    if until <= time.time():
        raise invalid()
    return _grant(*of_jwt[0]) if of_jwt else Grant(NOBODY, key_id=key_id)


def _of_jwt(grant: Grant) -> list[Any]:
    caller = grant.caller
    return [caller.owner, sorted(caller.scopes), caller.name, grant.until, grant.signed_by]


def _grant(owner: str | None, scopes: list[str], name: str, until: float, signed_by: str) -> Grant:
    return Grant(Caller(owner, frozenset(map(Scope, scopes)), name), until, signed_by=signed_by)
