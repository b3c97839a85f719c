"""From the credentials of a request to what they allow."""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.types import Scope

from longrun_api.auth.grants import Grant, Grants
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.refusals import MalformedAuthorization, invalid, missing
from longrun_api.auth.stream_tokens import StreamTokens, take

BEARER: Final = "bearer "
MAX_CREDENTIALS: Final = 8192
"""Longer credentials are not looked at."""


class Authenticator:
    """Recognises callers by the header `Authorization: Bearer …` (RFC 6750, section 2.1), or by a stream token."""

    def __init__(self, grants: Grants, keys: KeyChecks, tokens: StreamTokens) -> None:
        self._grants = grants
        self._keys = keys
        self.tokens = tokens

    async def grant(self, request: Scope) -> Grant:
        """What the credentials of this request allow; raises Unauthenticated or StoreUnavailable."""
        if token := take(request):
            return await self._keys.grant_of_id(await self.tokens.key_id(token))
        given = None
        for name, value in request["headers"]:
            if name == b"authorization":
                if given is not None:
                    raise MalformedAuthorization("it is given twice: give it once")
                given = value
        if given is None:
            raise missing()
        digest = hashlib.sha256(given).digest()
        return self._grants.fresh(digest) or await self._keys.grant(digest, _token(given))


def _token(header: bytes) -> str:
    text = header.decode("latin-1")
    if not text.lower().startswith(BEARER):
        raise missing()  # another scheme: the challenge names ours
    token = text[len(BEARER) :].strip(" ")
    if len(header) > MAX_CREDENTIALS or not token.isascii():
        raise invalid()
    return token
