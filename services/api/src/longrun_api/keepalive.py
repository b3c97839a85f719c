"""Comments that keep quiet streams open: one task sends them all, and no stream is woken for its own.

A proxy, and a client with a timeout for reading, would take a quiet stream for a dead one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from jobcore.telemetry import logs

PING_S: Final = 14.0
"""A comment follows so many quiet seconds."""
CHECK_S: Final = 1.0
"""The streams that are due are pinged together once in so many seconds: the process wakes up once for all of them."""

log = logs.get(__name__)


class Quiet(Protocol):
    """A stream, as far as this is concerned."""

    sent_at: float
    """When something was last sent, on the event loop's clock."""

    def ping(self) -> None:
        """Send a comment, if nothing is being sent."""


class Keepalive:
    """Pings the streams that are open here."""

    def __init__(self) -> None:
        self._streams: dict[Quiet, None] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ping."""
        self._task = asyncio.create_task(self._run(), name="keepalive")

    async def close(self) -> None:
        """Stop."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def add(self, stream: Quiet) -> None:
        """This stream is open."""
        self._streams[stream] = None

    def remove(self, stream: Quiet) -> None:
        """It is no longer."""
        self._streams.pop(stream, None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            due = loop.time() - PING_S
            for stream in [stream for stream in self._streams if stream.sent_at <= due]:
                try:
                    stream.ping()
                except Exception:  # of one connection: the others need their comments
                    log.exception("a stream could not be kept open")
