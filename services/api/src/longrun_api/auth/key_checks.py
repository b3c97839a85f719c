"""Look API keys up, and look those in use up again every few seconds, all in one statement.

So a request with a known key costs no look into the database, and a revoked key is refused within FRESH_S seconds, on
every process. Unknown keys are looked up one by one, a few at a time: guessing keeps no other request waiting.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from math import inf
from typing import Final

from jobcore.errors import LongrunError
from jobcore.models.api_keys import ApiKey, KeyDigest
from jobcore.store import api_keys
from longrun_api.auth.grants import Grant, Grants
from longrun_api.auth.refusals import invalid
from longrun_api.database import AsyncDatabase, unavailable_after

LOOKUPS: Final = 4
"""How many unknown keys are looked up at once: fewer than there are connections for requests."""
OUTAGE_S: Final = 60.0
"""Seconds for which an open request outlasts an outage of PostgreSQL, in which nobody can say that its key is valid."""


class KeyChecks:
    """Fills `grants` with what the database says of API keys."""

    def __init__(self, grants: Grants, database: AsyncDatabase, timeout_s: float) -> None:
        self._grants = grants
        self._database = database
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(LOOKUPS)
        self._noted_at = 0.0

    async def grant(self, digest: bytes, key: str) -> Grant:
        """What this key allows; raises Unauthenticated, and StoreUnavailable if nobody can say."""
        given = KeyDigest.of(key)
        if given is None:
            raise invalid()
        return await self._look_up(digest, given.id, given.sha256)

    async def grant_of_id(self, key_id: str) -> Grant:
        """What the key with this id allows, to somebody who need not show it again."""
        digest = f"id {key_id}".encode()  # no SHA-256 has this length
        return self._grants.fresh(digest) or await self._look_up(digest, key_id, None)

    async def _look_up(self, digest: bytes, key_id: str, sha256: bytes | None) -> Grant:
        async with unavailable_after(self._timeout_s), self._turns:
            if grant := self._grants.fresh(digest):  # another request has looked meanwhile
                return grant
            asked_at = time.monotonic()
            found = await self._database.call(api_keys.find, key_id)
        is_shown = sha256 is None or (found is not None and hmac.compare_digest(found.secret_hash, sha256))
        if found is None or not is_shown or not _is_valid(found):
            self._grants.drop(digest)
            raise invalid()
        return self._grants.keep(digest, _grant(found, asked_at))

    async def check(self) -> None:
        """Look the keys in use up again; end the requests of those that are not valid any more."""
        in_use = [(digest, grant) for digest, grant in self._grants.all() if grant.key_id is not None]
        asked_at = time.monotonic()
        try:
            found = await self._find({grant.key_id for _, grant in in_use if grant.key_id is not None})
        except LongrunError:
            self._drop_where_unknown_for_long(asked_at)
            return
        for digest, grant in in_use:
            key = found.get(grant.key_id or "")
            if key is None or not _is_valid(key):
                self._grants.drop(digest)
            else:
                grant.renew(_grant(key, asked_at))
        await self._note_use([grant for _, grant in in_use])

    async def _find(self, ids: set[str]) -> dict[str, ApiKey]:
        if not ids:
            return {}
        return {key.id: key for key in await self._database.call(api_keys.find_many, sorted(ids))}

    async def _note_use(self, grants: list[Grant]) -> None:
        since, now = self._noted_at, time.time()
        if now - since < api_keys.USED_S:
            return
        self._noted_at = now
        if ids := sorted({grant.key_id for grant in grants if grant.key_id and grant.used_at >= since}):
            await self._database.call(api_keys.note_use, ids)

    def _drop_where_unknown_for_long(self, now: float) -> None:
        for digest, grant in self._grants.all():
            if now - grant.checked_at > OUTAGE_S:
                self._grants.drop(digest)


def _is_valid(key: ApiKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at.timestamp() > time.time())


def _grant(key: ApiKey, checked_at: float) -> Grant:
    until = inf if key.expires_at is None else key.expires_at.timestamp()
    return Grant(key.caller, until, key.id, checked_at=checked_at)
