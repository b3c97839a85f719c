"""From the credentials of a request to what they allow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from longrun_api.auth.grants import Grant, Grants
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.refusals import MalformedAuthorization, invalid, missing

BEARER: Final = "bearer "
MAX_CREDENTIALS: Final = 8192
"""Longer credentials are not looked at."""


class Authenticator:
    """Recognises callers by the header `Authorization: Bearer …` (RFC 6750, section 2.1)."""

    def __init__(self, grants: Grants, keys: KeyChecks) -> None:
        self._grants = grants
        self._keys = keys

    async def grant(self, headers: Iterable[tuple[bytes, bytes]]) -> Grant:
        """What the credentials in these headers allow; raises Unauthenticated or StoreUnavailable."""
        given = None
        for name, value in headers:
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
