"""The method of both clients about what happened to tasks."""

from __future__ import annotations

from longrun_client.async_transport import AsyncTransport
from longrun_client.calls import Call, without_none
from longrun_client.models_stats import Last, Stats
from longrun_client.transport import Transport


class StatsClient:
    """Look at what happened to tasks."""

    _transport: Transport

    def stats(self, last: Last = "hour", *, queue: str | None = None) -> Stats:
        """Get how many tasks were submitted, ended and were retried, and how long they waited and ran."""
        return self._transport.call(_stats(last, queue))


class AsyncStatsClient:
    """Look at what happened to tasks."""

    _transport: AsyncTransport

    async def stats(self, last: Last = "hour", *, queue: str | None = None) -> Stats:
        """Get how many tasks were submitted, ended and were retried, and how long they waited and ran."""
        return await self._transport.call(_stats(last, queue))


def _stats(last: Last, queue: str | None) -> Call[Stats]:
    return Call("GET", "/stats", Stats.model_validate, params=without_none({"last": last, "queue": queue}))
