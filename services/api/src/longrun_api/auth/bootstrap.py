"""The operator's first key, from LONGRUN_BOOTSTRAP_KEY: stored at the start, so that others can be made with it."""

from __future__ import annotations

import asyncio
from typing import Final

from jobcore.errors import LongrunError
from jobcore.models.acts import Act
from jobcore.models.api_keys import KeyDigest
from jobcore.store import api_keys
from jobcore.store.acting import acting
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.database import AsyncDatabase

RETRY_S: Final = 1.0
"""Seconds before another try, while PostgreSQL is unavailable or its schema is older than this process."""

log = logs.get(__name__)


class BootstrapKey:
    """Stores the key once: at the start if PostgreSQL answers, otherwise as soon as it does."""

    def __init__(self, database: AsyncDatabase, digest: KeyDigest | None) -> None:
        self._database = database
        self._digest = digest
        self._task: asyncio.Task[None] | None = None
        self._outage = logs.Outage(log, "cannot store the bootstrap key", "the bootstrap key is stored")

    async def start(self) -> None:
        """Store the key, or keep trying in the background."""
        if self._digest is not None and not await self._stored(self._digest):
            self._task = asyncio.create_task(self._run(self._digest), name="bootstrap-key")

    async def close(self) -> None:
        """Stop trying."""
        await background_tasks.end(self._task)

    async def _run(self, digest: KeyDigest) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            if await self._stored(digest):
                return

    async def _stored(self, digest: KeyDigest) -> bool:
        try:
            with acting(Act("store_bootstrap_key", "LONGRUN_BOOTSTRAP_KEY")):
                key = await self._database.call(api_keys.put_bootstrap, digest)
        except LongrunError as error:
            self._outage.begin(error)
            return False
        except Exception:
            log.exception("cannot store the bootstrap key")
            return False
        self._outage.end()
        if key is None or key.secret_hash != digest.sha256:
            log.error("LONGRUN_BOOTSTRAP_KEY has the id of another key: make a new one with `longrun keys new`")
        elif key.revoked_at is not None:
            log.error("LONGRUN_BOOTSTRAP_KEY was revoked: make a new one with `longrun keys new`", key=digest.id)
        return True
