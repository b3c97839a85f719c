"""Texts that only a process of this deployment can have made: signed with a key that all of them share (HMAC-SHA256).

So nothing has to be stored of what is given to a browser and comes back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from jobcore.store.signing_keys import signing_key
from longrun_api import base64url
from longrun_api.auth.refusals import invalid
from longrun_api.database import AsyncDatabase


class SignedTexts:
    """Makes and reads texts of one purpose: those of another one are not accepted."""

    def __init__(self, database: AsyncDatabase, purpose: str) -> None:
        self._database = database
        self._purpose = purpose
        self._key: bytes | None = None

    async def make(self, values: list[Any]) -> str:
        """A text that says these JSON values."""
        said = json.dumps(values).encode()
        return f"{base64url.encode(said)}.{await self.signature(said)}"

    async def read(self, text: str) -> list[Any]:
        """What the text says; raises Unauthenticated if no process of this deployment has made it."""
        said, _, signature = text.partition(".")
        data = _decoded(said)
        if not _are_equal(await self.signature(data), signature):
            raise invalid()
        values: list[Any] = json.loads(data)
        return values

    async def signature(self, said: bytes) -> str:
        """What proves that a process of this deployment has said this, for the same purpose."""
        if self._key is None:
            self._key = await self._database.call(signing_key, self._purpose)
        return base64url.encode(hmac.digest(self._key, said, hashlib.sha256))

    async def is_signature(self, said: bytes, given: str) -> bool:
        """Whether this is the signature of what was said."""
        return _are_equal(await self.signature(said), given)


def _are_equal(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode())


def _decoded(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        return b""
