"""From the credentials of a request to what they allow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from starlette.types import Scope

from longrun_api.auth.grant_tokens import GrantTokens
from longrun_api.auth.grants import Grant, Grants
from longrun_api.auth.jwt_checks import JwtChecks
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.provider import Provider
from longrun_api.auth.refusals import MalformedAuthorization, invalid, missing
from longrun_api.auth.sessions import Sessions, digest_of, is_console, session_of
from longrun_api.auth.stream_tokens import take

KEY: Final = "lr_"
"""API keys begin so, and no JWT does."""
BEARER: Final = "bearer "
MAX_CREDENTIALS: Final = 8192
"""Longer credentials are not looked at."""


class Authenticator:
    """Recognises callers by the header `Authorization: Bearer …` (RFC 6750, section 2.1), or by what stands for it.

    That is a stream token in the address of a stream, and the cookie of a session for the console.
    """

    def __init__(
        self,
        grants: Grants,
        tokens: GrantTokens,
        sessions: Sessions,
        *,
        keys: KeyChecks | None = None,
        jwts: JwtChecks | None = None,
        provider: Provider | None = None,
    ) -> None:
        """`keys` and `jwts` are None where they are not accepted, `provider` where nobody can sign in at one."""
        self._grants = grants
        self._keys = keys
        self._jwts = jwts
        self.tokens = tokens
        self.sessions = sessions
        self.provider = provider

    async def grant(self, request: Scope) -> Grant:
        """What the credentials of this request allow; raises Unauthenticated, StoreUnavailable or IssuerUnavailable."""
        if is_console(request):
            return await self._of_session(session_of(request))
        if token := take(request):
            return await self._again(token, await self.tokens.read(token))
        given = None
        for name, value in request["headers"]:
            if name == b"authorization":
                if given is not None:
                    raise MalformedAuthorization("it is given twice: give it once")
                given = value
        if given is None:
            raise missing()
        return await self.grant_of_header(given)

    async def grant_of_header(self, given: bytes) -> Grant:
        """What this value of `Authorization` allows; raises as `grant` does."""
        digest = hashlib.sha256(given).digest()
        return self._grants.fresh(digest) or await self._check(digest, _token(given))

    async def _of_session(self, cookie: str) -> Grant:
        if not cookie:
            raise missing()
        digest = digest_of(cookie)
        if grant := self._grants.fresh(digest):
            return grant
        begun = await self.sessions.read(cookie)
        if begun.key_id is None:
            return await self._of_jwt(digest, begun)
        behind = await self._of_key(begun.key_id)
        checked_at = min(begun.checked_at, behind.checked_at)
        found = replace(begun, caller=behind.caller, until=min(begun.until, behind.until), checked_at=checked_at)
        return self._grants.keep(digest, found)

    async def _check(self, digest: bytes, token: str) -> Grant:
        if self._keys is not None and (self._jwts is None or token.startswith(KEY)):
            return await self._keys.grant(digest, token)
        if self._jwts is None:
            raise invalid()
        return await self._jwts.grant(digest, token)

    async def _again(self, token: str, grant: Grant) -> Grant:
        if grant.key_id is not None:
            return await self._of_key(grant.key_id)
        digest = b"token " + hashlib.sha256(token.encode()).digest()  # no header's SHA-256 has this length
        return self._grants.fresh(digest) or await self._of_jwt(digest, grant)

    async def _of_key(self, key_id: str) -> Grant:
        if self._keys is None:
            raise invalid()
        return await self._keys.grant_of_id(key_id)

    async def _of_jwt(self, digest: bytes, grant: Grant) -> Grant:
        if grant.signed_by is None or self._jwts is None:
            raise invalid()
        return await self._jwts.again(digest, grant)


def _token(header: bytes) -> str:
    text = header.decode("latin-1")
    if not text.lower().startswith(BEARER):
        raise missing()  # another scheme: the challenge names ours
    token = text[len(BEARER) :].strip(" ")
    if len(header) > MAX_CREDENTIALS or not token.isascii():
        raise invalid()
    return token
