"""The methods of both clients about queues and limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import partial

from longrun_client import calls_queues
from longrun_client.async_transport import AsyncTransport
from longrun_client.models_queues import ConcurrencyLimit, Queue
from longrun_client.rate_client import AsyncRateClient, RateClient
from longrun_client.transport import Transport


class QueueClient(RateClient):
    """Look at queues, pause, limit and delete them, and limit concurrency keys."""

    _transport: Transport

    def queues(self) -> Iterator[Queue]:
        """Iterate over all queues in use, by name. Pages are fetched as needed."""
        return self._transport.walk(calls_queues.queue_page)

    def queue(self, name: str) -> Queue:
        """Get a queue by its name."""
        return self._transport.call(calls_queues.queue(name))

    def pause_queue(self, name: str) -> Queue:
        """Pause a queue: none of its tasks starts until it is resumed. Running tasks continue."""
        return self._transport.call(calls_queues.change_queue(name, {"paused": True}))

    def resume_queue(self, name: str) -> Queue:
        """Resume a paused queue."""
        return self._transport.call(calls_queues.change_queue(name, {"paused": False}))

    def limit_queue(self, name: str, max_running: int | None) -> Queue:
        """Limit how many tasks of a queue run at once; None removes the limit. Running tasks continue."""
        return self._transport.call(calls_queues.change_queue(name, {"max_running": max_running}))

    def delete_queue(self, name: str) -> None:
        """Delete a queue with its pause and its limit; raises ProblemError (409) if tasks or workers use it."""
        self._transport.call(calls_queues.delete_queue(name))

    def concurrency_limits(self, *, owner: str | None = None) -> Iterator[ConcurrencyLimit]:
        """Iterate over the limits that were set, by key: those of one owner or, for an operator, all."""
        return self._transport.walk(partial(calls_queues.concurrency_limit_page, owner=owner))

    def set_concurrency_limit(self, key: str, max_running: int, *, owner: str | None = None) -> ConcurrencyLimit:
        """Limit how many tasks with this `concurrency_key`, of this owner, run at once. Running tasks continue."""
        return self._transport.call(calls_queues.set_concurrency_limit(key, max_running, owner))

    def clear_concurrency_limit(self, key: str, *, owner: str | None = None) -> None:
        """Remove the limit of a `concurrency_key`: its tasks run one at a time again."""
        self._transport.call(calls_queues.clear_concurrency_limit(key, owner))


class AsyncQueueClient(AsyncRateClient):
    """Look at queues, pause, limit and delete them, and limit concurrency keys."""

    _transport: AsyncTransport

    def queues(self) -> AsyncGenerator[Queue, None]:
        """Iterate over all queues in use, by name. Pages are fetched as needed."""
        return self._transport.walk(calls_queues.queue_page)

    async def queue(self, name: str) -> Queue:
        """Get a queue by its name."""
        return await self._transport.call(calls_queues.queue(name))

    async def pause_queue(self, name: str) -> Queue:
        """Pause a queue: none of its tasks starts until it is resumed. Running tasks continue."""
        return await self._transport.call(calls_queues.change_queue(name, {"paused": True}))

    async def resume_queue(self, name: str) -> Queue:
        """Resume a paused queue."""
        return await self._transport.call(calls_queues.change_queue(name, {"paused": False}))

    async def limit_queue(self, name: str, max_running: int | None) -> Queue:
        """Limit how many tasks of a queue run at once; None removes the limit. Running tasks continue."""
        return await self._transport.call(calls_queues.change_queue(name, {"max_running": max_running}))

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with its pause and its limit; raises ProblemError (409) if tasks or workers use it."""
        await self._transport.call(calls_queues.delete_queue(name))

    def concurrency_limits(self, *, owner: str | None = None) -> AsyncGenerator[ConcurrencyLimit, None]:
        """Iterate over the limits that were set, by key: those of one owner or, for an operator, all."""
        return self._transport.walk(partial(calls_queues.concurrency_limit_page, owner=owner))

    async def set_concurrency_limit(self, key: str, max_running: int, *, owner: str | None = None) -> ConcurrencyLimit:
        """Limit how many tasks with this `concurrency_key`, of this owner, run at once. Running tasks continue."""
        return await self._transport.call(calls_queues.set_concurrency_limit(key, max_running, owner))

    async def clear_concurrency_limit(self, key: str, *, owner: str | None = None) -> None:
        """Remove the limit of a `concurrency_key`: its tasks run one at a time again."""
        await self._transport.call(calls_queues.clear_concurrency_limit(key, owner))
