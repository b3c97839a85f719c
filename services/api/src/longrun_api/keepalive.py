"""Send comments on idle streams, so that proxies and clients with a read timeout do not close them.

One asyncio task sends the comments of all streams: no stream needs a timer of its own.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from jobcore.telemetry import logs
from longrun_api import background_tasks

PING_S: Final = 14.0
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
        self._streams: dict[Pingable, None] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start pinging."""
        self._task = asyncio.create_task(self._run(), name="keepalive")

    async def close(self) -> None:
        """Stop pinging."""
        await background_tasks.end(self._task)

    def add(self, stream: Pingable) -> None:
        """Add a stream that was opened."""
        self._streams[stream] = None

    def remove(self, stream: Pingable) -> None:
        """Remove a stream that was closed."""
        self._streams.pop(stream, None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            due = loop.time() - PING_S
            for stream in [stream for stream in self._streams if stream.sent_at <= due]:
                try:
                    stream.ping()
                except Exception:  # concerns one connection; the others still need their comments
                    log.exception("cannot send a keepalive comment")
