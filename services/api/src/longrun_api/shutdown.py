"""Detect SIGTERM early: uvicorn tells the application only after all open responses have ended."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import anyio

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Shutdown:
    """Whether the shutdown of this process has begun; it cancels the blocks under `interrupts`."""

    def __init__(self) -> None:
        self.begun = False
        self._scopes: set[anyio.CancelScope] = set()

    def begin(self) -> None:
        """Begin the shutdown."""
        self.begun = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Leave the block at its next `await` once the shutdown has begun."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self.begun:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Begin at SIGTERM or SIGINT, then call the previous handler. Use it inside the event loop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {signum: signal.getsignal(signum) for signum in SIGNALS}

        def handle(signum: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            handler = before[signal.Signals(signum)]
            if callable(handler):
                handler(signum, frame)

        for signum in SIGNALS:
            signal.signal(signum, handle)
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
