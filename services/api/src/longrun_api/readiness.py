"""Whether this process can accept tasks now: the intake commits a small transaction, as for a submission."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from redis import RedisError

from jobcore.admission.intake import Intake
from jobcore.broker import redis_check
from jobcore.errors import LongrunError
from jobcore.settings.redis_server import RedisServer
from longrun_api.database import unavailable_after
from longrun_api.problems import ShuttingDown
from longrun_api.shutdown import Shutdown

FRESH_S: Final = 1.0
COMMIT_S: Final = 2.0
REDIS_S: Final = 0.5


class Readiness:
    """Checks at most once per FRESH_S seconds, however many probes arrive."""

    def __init__(self, intake: Intake, server: RedisServer, shutdown: Shutdown) -> None:
        self._intake = intake
        self._server = server
        self._redis = server.asyncio_client(REDIS_S)
        self._shutdown = shutdown
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._failure: LongrunError | None = None
        self._redis_problem: str | None = None

    async def check(self) -> str | None:
        """Why Redis cannot carry wake-ups; None if it can.

        Raises StoreUnavailable, Overloaded or ShuttingDown if no task can be accepted.
        """
        if self._shutdown.begun:
            raise ShuttingDown("try another server")
        async with self._lock:
            if time.monotonic() - self._asked_at > FRESH_S:
                await self._ask()
        if self._failure:
            raise self._failure
        return self._redis_problem

    async def close(self) -> None:
        """Close the connection to Redis."""
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _ask(self) -> None:
        self._failure = None
        try:
            async with unavailable_after(COMMIT_S):
                await self._intake.check()
        except LongrunError as error:
            self._failure = error
        self._redis_problem = await self._ask_redis()
        self._asked_at = time.monotonic()

    async def _ask_redis(self) -> str | None:
        try:
            async with asyncio.timeout(REDIS_S):
                return await redis_check.problem(self._redis, self._server)
        except TimeoutError:
            return "it does not answer in time"
