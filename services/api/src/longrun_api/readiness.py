"""Whether this process can accept tasks now: asked of the intake, which goes the way that a submission goes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

import redis.asyncio
from redis import RedisError

from jobcore.errors import LongrunError
from jobcore.intake import Intake
from longrun_api.database import silence_is_absence
from longrun_api.problems import ShuttingDown
from longrun_api.shutdown import Shutdown

FRESH_S: Final = 1.0
COMMIT_S: Final = 2.0
REDIS_S: Final = 0.5


class Readiness:
    """Asks at most once in FRESH_S seconds, however many probes come."""

    def __init__(self, intake: Intake, redis_url: str, shutdown: Shutdown) -> None:
        self._intake = intake
        self._redis = redis.asyncio.Redis.from_url(redis_url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S)
        self._shutdown = shutdown
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._failure: LongrunError | None = None
        self._redis_answers = False

    async def check(self) -> bool:
        """Whether Redis answers; StoreUnavailable, Overloaded or ShuttingDown if no task can be accepted."""
        if self._shutdown.begun:
            raise ShuttingDown("try another server")
        async with self._lock:
            if time.monotonic() - self._asked_at > FRESH_S:
                await self._ask()
        if self._failure:
            raise self._failure
        return self._redis_answers

    async def close(self) -> None:
        """Close the connection to Redis."""
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _ask(self) -> None:
        self._failure = None
        try:
            async with silence_is_absence(COMMIT_S):
                await self._intake.check()
        except LongrunError as error:
            self._failure = error
        self._redis_answers = False
        with suppress(RedisError, OSError):
            self._redis_answers = bool(await self._redis.ping())
        self._asked_at = time.monotonic()
