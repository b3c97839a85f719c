"""Signed texts that stand for a credential which was shown once, for a while: stream tokens and sessions of browsers.

A token says for whom it was made. It is signed with a key that all processes share (HMAC-SHA256), so that none is
stored. What is behind it is checked as always: those of a revoked API key or of an expired JWT are refused.

    [id of the API key, until]
    [null, until, [owner, scopes, name, until of the JWT, thumbprint of the key that signed it]]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any, Final

from jobcore.models.caller import Caller, Scope
from jobcore.store.signing_keys import signing_key
from longrun_api.auth.grants import Grant
from longrun_api.auth.refusals import invalid
from longrun_api.database import AsyncDatabase

NOBODY: Final = Caller(owner=None, scopes=frozenset(), name="nobody")
"""Until the API key has been looked up."""


class GrantTokens:
    """Makes and reads tokens of one purpose, each valid for `lifetime_s` seconds."""

    def __init__(self, database: AsyncDatabase, purpose: str, lifetime_s: int) -> None:
        self._database = database
        self._purpose = purpose
        self._lifetime_s = lifetime_s
        self._key: bytes | None = None

    async def make(self, grant: Grant) -> tuple[str, float]:
        """A token for the caller with this grant, and when it expires, in seconds since the epoch."""
        until = int(time.time()) + self._lifetime_s
        said = json.dumps([grant.key_id, until] if grant.key_id else [None, until, _of_jwt(grant)]).encode()
        return f"{_text(said)}.{_text(await self.signature(said))}", until

    async def read(self, token: str) -> Grant:
        """The grant for which this token was made, to be checked again; raises Unauthenticated."""
        said, signature = (_bytes(part) for part in token.partition(".")[::2])
        if not hmac.compare_digest(await self.signature(said), signature):
            raise invalid()
        key_id, until, *of_jwt = json.loads(said)
        if until <= time.time():
            raise invalid()
        return _grant(*of_jwt[0]) if of_jwt else Grant(NOBODY, key_id=key_id)

    async def signature(self, said: bytes) -> bytes:
        """What proves that a process of this deployment has said this, for the same purpose."""
        if self._key is None:
            self._key = await self._database.call(signing_key, self._purpose)
        return hmac.digest(self._key, said, hashlib.sha256)


def _of_jwt(grant: Grant) -> list[Any]:
    caller = grant.caller
    return [caller.owner, sorted(caller.scopes), caller.name, grant.until, grant.signed_by]


def _grant(owner: str | None, scopes: list[str], name: str, until: float, signed_by: str) -> Grant:
    return Grant(Caller(owner, frozenset(map(Scope, scopes)), name), until, signed_by=signed_by)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
