"""Send comments on idle streams, so that proxies and clients with a read timeout do not close them.

One asyncio task sends the comments of all streams: no stream needs a timer of its own. It looks at a stream only when a
comment may be due, so a thousand idle streams cost little more than their comments.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final, Protocol

from jobcore.telemetry import logs
from longrun_api import background_tasks

PING_S: Final = 24.0
"""Idle seconds after which a stream gets a comment."""
CHECK_S: Final = 1.0
"""Seconds between two checks for idle streams."""

log = logs.get(__name__)


class Pingable(Protocol):
    """A stream that can send a comment."""

    sent_at: float
    """Time of the last send, on the event loop's clock."""

    def ping(self) -> None:
        """Send a comment, unless something is being sent."""


class Keepalive:
    """Pings the idle ones among the open streams of this process."""

    def __init__(self) -> None:
        self._streams: dict[int, Pingable] = {}
        self._due: list[tuple[float, int]] = []
        """A heap of when to look at which stream; those of closed streams are dropped when they are due."""
        self._next = count()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start pinging."""
        self._task = asyncio.create_task(self._run(), name="keepalive")

    async def close(self) -> None:
        """Stop pinging."""
        await background_tasks.end(self._task)

    @contextmanager
    def pinged(self, stream: Pingable) -> Iterator[None]:
        """Ping a stream in this context."""
        number = next(self._next)
        self._streams[number] = stream
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + PING_S, number))
        try:
            yield
        finally:
            del self._streams[number]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            now = loop.time()
            while self._due and self._due[0][0] <= now:
                _, number = heapq.heappop(self._due)
                if stream := self._streams.get(number):
                    self._look_at(stream, now)
                    idle_since = min(stream.sent_at, now)
                    heapq.heappush(self._due, (max(idle_since + PING_S, now + CHECK_S), number))

    def _look_at(self, stream: Pingable, now: float) -> None:
        if stream.sent_at > now - PING_S:
            return
        try:
            stream.ping()
        except Exception:  # concerns one connection; the others still need their comments
            log.exception("cannot send a keepalive comment")
