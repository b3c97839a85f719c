"""A script in Redis, which may be away: what it counts must not stop what PostgreSQL can accept."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final, cast

import redis

from jobcore.settings.redis_server import RedisServer
from jobcore.telemetry.logs import Outage

REDIS_S: Final = 0.25
RETRY_S: Final = 1.0
"""Seconds for which Redis is not asked after it did not answer."""


class RedisScript:
    """Asks one script; `outage` tells the log when Redis does not answer."""

    def __init__(self, server: RedisServer, script: str, outage: Outage) -> None:
        self._server = server
        self._redis = server.asyncio_client(REDIS_S)
        self._script = self._redis.register_script(script)
        self._outage = outage
        self._ask_at = 0.0

    async def ask(self, key: str, *arguments: str | int) -> Any | None:
        """The answer of the script about this key of the deployment; None: Redis is away."""
        if time.monotonic() < self._ask_at:
            return None
        try:
            answer = await self._script(keys=[self._server.key(key)], args=arguments)
        except (redis.RedisError, OSError) as error:
            self._ask_at = time.monotonic() + RETRY_S
            self._outage.begin(error)
            return None
        self._outage.end()
        return cast(Any, answer)

    async def close(self) -> None:
        """Close the connections to Redis."""
        with suppress(redis.RedisError, OSError):
            await self._redis.aclose()
