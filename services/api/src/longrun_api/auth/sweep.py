"""Every few seconds: end what is over, forget what nobody uses, and look up again what may have been revoked."""

from __future__ import annotations

import asyncio
from typing import Final

from jobcore.errors import LongrunError
from jobcore.telemetry import logs
from longrun_api import background_tasks
from longrun_api.auth.grants import Grants
from longrun_api.auth.key_checks import KeyChecks
from longrun_api.auth.sessions import Sessions

SWEEP_S: Final = 2.0
"""Seconds between two sweeps."""
IDLE_S: Final = 60.0
"""Seconds after which a credential without requests is forgotten, until it is used again."""

log = logs.get(__name__)


class Sweep:
    """Keeps grants true while nothing asks for them: their open requests end when they do."""

    def __init__(self, grants: Grants, sessions: Sessions, keys: KeyChecks | None) -> None:
        self._grants = grants
        self._sessions = sessions
        self._keys = keys
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start sweeping."""
        self._task = asyncio.create_task(self._run(), name="sweep")

    async def close(self) -> None:
        """Stop sweeping."""
        await background_tasks.end(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._grants.drop_expired()
            self._grants.forget_unused(IDLE_S)
            await self.check()

    async def check(self) -> None:
        """Look the sessions and API keys in use up again, each also if the other look fails, as in an outage."""
        for looked_up in (self._sessions, self._keys):
            if looked_up is None:
                continue
            try:
                await looked_up.check()
            except LongrunError:
                pass  # AsyncDatabase logs outages; the use of keys is noted a minute later
            except Exception:
                log.exception("cannot check the sessions and API keys in use; trying again")
