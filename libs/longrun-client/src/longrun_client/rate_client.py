"""The methods of both clients about rate limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from longrun_client import calls_rates
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_queues import Queue
from longrun_client.models_rates import RateLimit
from longrun_client.transport import Transport


class RateClient:
    """Limit how often tasks of a rate key or a queue start."""

    _transport: Transport

    def rate_limits(self, *, owner: str | None = None) -> Iterator[RateLimit]:
        """Iterate over the rate limits of keys, by key: those of one owner or, for an operator, all."""
        return self._transport.walk(partial(calls_rates.rate_limit_page, owner=owner))

    def rate_limit(self, key: str, *, owner: str | None = None) -> RateLimit:
        """Get the rate limit of a `rate_key`; raises ProblemError (404) if it has none."""
        return self._transport.call(calls_rates.rate_limit(key, owner))

    def set_rate_limit(self, key: str, max_starts: int, window_s: float, *, owner: str | None = None) -> RateLimit:
        """Let at most `max_starts` tasks with this `rate_key`, of this owner, start within any `window_s` seconds."""
        return self._transport.call(calls_rates.set_rate_limit(key, max_starts, window_s, owner))

    def clear_rate_limit(self, key: str, *, owner: str | None = None) -> None:
        """Remove the rate limit of a `rate_key`."""
        self._transport.call(calls_rates.clear_rate_limit(key, owner))

    def limit_queue_rate(self, name: str, max_starts: int | None, window_s: float = 1.0) -> Queue:
        """Let at most `max_starts` tasks of a queue start within any `window_s` seconds; None removes the limit."""
        return self._transport.call(calls_rates.limit_queue_rate(name, max_starts, window_s))


class AsyncRateClient:
    """Limit how often tasks of a rate key or a queue start."""

    _transport: AsyncTransport

    def rate_limits(self, *, owner: str | None = None) -> AsyncGenerator[RateLimit, None]:
        """Iterate over the rate limits of keys, by key: those of one owner or, for an operator, all."""
        return self._transport.walk(partial(calls_rates.rate_limit_page, owner=owner))

    async def rate_limit(self, key: str, *, owner: str | None = None) -> RateLimit:
        """Get the rate limit of a `rate_key`; raises ProblemError (404) if it has none."""
        return await self._transport.call(calls_rates.rate_limit(key, owner))

    async def set_rate_limit(
        self, key: str, max_starts: int, window_s: float, *, owner: str | None = None
    ) -> RateLimit:
        """Let at most `max_starts` tasks with this `rate_key`, of this owner, start within any `window_s` seconds."""
        return await self._transport.call(calls_rates.set_rate_limit(key, max_starts, window_s, owner))

    async def clear_rate_limit(self, key: str, *, owner: str | None = None) -> None:
        """Remove the rate limit of a `rate_key`."""
        await self._transport.call(calls_rates.clear_rate_limit(key, owner))

    async def limit_queue_rate(self, name: str, max_starts: int | None, window_s: float = 1.0) -> Queue:
        """Let at most `max_starts` tasks of a queue start within any `window_s` seconds; None removes the limit."""
        return await self._transport.call(calls_rates.limit_queue_rate(name, max_starts, window_s))
