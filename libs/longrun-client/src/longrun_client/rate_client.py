"""The methods of both clients about rate limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from longrun_client import calls_rates
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_queues import Queue
from longrun_client.models_rates import RateLimit
from longrun_client.transport import Transport


class RateClient:
    """Limit how often tasks of a rate key or a queue start."""

    _transport: Transport

    def rate_limits(self) -> Iterator[RateLimit]:
        """Iterate over the rate limits of keys, by key. Pages are fetched as needed."""
        return self._transport.walk(calls_rates.rate_limit_page)

    def rate_limit(self, key: str) -> RateLimit:
        """Get the rate limit of a `rate_key`; raises ProblemError (404) if it has none."""
        return self._transport.call(calls_rates.rate_limit(key))

    def set_rate_limit(self, key: str, max_starts: int, window_s: float) -> RateLimit:
        """Let at most `max_starts` tasks with this `rate_key` start within any `window_s` seconds."""
        return self._transport.call(calls_rates.set_rate_limit(key, max_starts, window_s))

    def clear_rate_limit(self, key: str) -> None:
        """Remove the rate limit of a `rate_key`."""
        self._transport.call(calls_rates.clear_rate_limit(key))

    def limit_queue_rate(self, name: str, max_starts: int | None, window_s: float = 1.0) -> Queue:
        """Let at most `max_starts` tasks of a queue start within any `window_s` seconds; None removes the limit."""
        return self._transport.call(calls_rates.limit_queue_rate(name, max_starts, window_s))


class AsyncRateClient:
    """Limit how often tasks of a rate key or a queue start."""

    _transport: AsyncTransport

    def rate_limits(self) -> AsyncGenerator[RateLimit, None]:
        """Iterate over the rate limits of keys, by key. Pages are fetched as needed."""
        return self._transport.walk(calls_rates.rate_limit_page)

    async def rate_limit(self, key: str) -> RateLimit:
        """Get the rate limit of a `rate_key`; raises ProblemError (404) if it has none."""
        return await self._transport.call(calls_rates.rate_limit(key))

    async def set_rate_limit(self, key: str, max_starts: int, window_s: float) -> RateLimit:
        """Let at most `max_starts` tasks with this `rate_key` start within any `window_s` seconds."""
        return await self._transport.call(calls_rates.set_rate_limit(key, max_starts, window_s))

    async def clear_rate_limit(self, key: str) -> None:
        """Remove the rate limit of a `rate_key`."""
        await self._transport.call(calls_rates.clear_rate_limit(key))

    async def limit_queue_rate(self, name: str, max_starts: int | None, window_s: float = 1.0) -> Queue:
        """Let at most `max_starts` tasks of a queue start within any `window_s` seconds; None removes the limit."""
        return await self._transport.call(calls_rates.limit_queue_rate(name, max_starts, window_s))
