"""uvicorn's server with a tick of one second instead of a tenth; it stops without waiting for the tick."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

TICK_S: Final = 1.0
"""The resolution of the header `Date`."""


class Server(uvicorn.Server):
    """Serves until a signal stops it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def main_loop(self) -> None:
        """Tick until a signal stops the server."""
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()  # objects from startup live for ever: exclude them from collections, which block everything else
        gc.enable()  # again: see `__main__`
        while not await self.on_tick(
            counter=0
        ):  # uvicorn updates the header `Date` when the counter is a multiple of ten
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._stop.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)


def serve(config: uvicorn.Config, sockets: list[socket.socket] | None = None) -> None:
    """Serve like `uvicorn.run`, on these sockets if given; raises SystemExit if the application did not start."""
    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets)
    if not server.started:
        sys.exit(STARTUP_FAILURE)
