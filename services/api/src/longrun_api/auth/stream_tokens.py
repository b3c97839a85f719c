"""Tokens with which a page in a browser opens a stream: EventSource sends no header, and no key belongs in a URL.

A token says for whom it was made, can be used for TOKEN_S seconds, and only to open a stream. It is signed with a key
that all processes share (HMAC-SHA256), so that none is stored. What is behind it is checked as always: the streams of a
revoked API key or of an expired JWT end, and their tokens are refused.

    [id of the API key, until]
    [null, until, [owner, scopes, name, until of the JWT, thumbprint of the key that signed it]]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope as AsgiScope

from jobcore.models.caller import Caller, Scope
from jobcore.store.signing_keys import signing_key
from longrun_api.auth.grants import Grant
from longrun_api.auth.refusals import invalid
from longrun_api.database import AsyncDatabase
from longrun_api.prefixes import own_path

TOKEN_S: Final = 60
"""Seconds for which a token opens streams."""
PARAMETER: Final = "stream_token"
"""The query parameter that has it."""
STREAMS: Final = re.compile("/events/stream|/tasks/[^/]+/stream")
PURPOSE: Final = "stream-tokens"
NOBODY: Final = Caller(owner=None, scopes=frozenset(), name="nobody")
"""Until the API key has been looked up."""


class StreamTokens:
    """Makes and reads tokens."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database
        self._key: bytes | None = None

    async def make(self, grant: Grant) -> tuple[str, float]:
        """A token for the caller with this grant, and when it expires, in seconds since the epoch."""
        until = int(time.time()) + TOKEN_S
        said = json.dumps([grant.key_id, until] if grant.key_id else [None, until, _of_jwt(grant)]).encode()
        return f"{_text(said)}.{_text(await self._signature(said))}", until

    async def read(self, token: str) -> Grant:
        """The grant for which this token was made, to be checked again; raises Unauthenticated."""
        said, signature = (_bytes(part) for part in token.partition(".")[::2])
        if not hmac.compare_digest(await self._signature(said), signature):
            raise invalid()
        key_id, until, *of_jwt = json.loads(said)
        if until <= time.time():
            raise invalid()
        return _grant(*of_jwt[0]) if of_jwt else Grant(NOBODY, key_id=key_id)

    async def _signature(self, said: bytes) -> bytes:
        if self._key is None:
            self._key = await self._database.call(signing_key, PURPOSE)
        return hmac.digest(self._key, said, hashlib.sha256)


def _of_jwt(grant: Grant) -> list[Any]:
    caller = grant.caller
    return [caller.owner, sorted(caller.scopes), caller.name, grant.until, grant.signed_by]


def _grant(owner: str | None, scopes: list[str], name: str, until: float, signed_by: str) -> Grant:
    return Grant(Caller(owner, frozenset(map(Scope, scopes)), name), until, signed_by=signed_by)


def take(scope: AsgiScope) -> str | None:
    """Remove the token from the query of a request that opens a stream, so that nothing logs it; None: it has none."""
    if PARAMETER.encode() not in scope["query_string"] or scope["method"] != "GET":
        return None
    if not STREAMS.fullmatch(own_path(scope)):
        return None
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    tokens = [value for name, value in given if name == PARAMETER]
    scope["query_string"] = urlencode([pair for pair in given if pair[0] != PARAMETER]).encode()
    return tokens[0] if tokens else None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
