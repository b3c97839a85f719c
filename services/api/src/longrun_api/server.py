"""uvicorn's server, awake once a second instead of ten times, and at once when it is to stop."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import suppress
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

TICK_S: Final = 1.0
"""The resolution of the header `Date`."""


class Server(uvicorn.Server):
    """Serves until a signal comes."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def main_loop(self) -> None:
        """Tick until this process is to stop."""
        self._loop = asyncio.get_running_loop()
        gc.collect()
        gc.freeze()  # what was made until now is never garbage: no collection looks at it again, with all else waiting
        while not await self.on_tick(counter=0):  # uvicorn makes a new `Date` at every tenth
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._stop.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of SIGINT and SIGTERM."""
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)


def serve(config: uvicorn.Config) -> None:
    """Serve, as `uvicorn.run` does; SystemExit if the application did not start."""
    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
