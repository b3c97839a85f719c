"""Ctrl-C, SIGTERM and the closed terminal, as something to wait for."""

from __future__ import annotations

import signal
from queue import Empty, SimpleQueue
from types import FrameType


class Signals:
    """Takes over SIGINT, SIGTERM and SIGHUP of this process; make it in the main thread."""

    def __init__(self) -> None:
        # Not an Event: its lock would deadlock when a signal interrupts a wait at the wrong moment.
        self._received: SimpleQueue[int] = SimpleQueue()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._receive)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether a signal came within that time (None: wait for one); each signal counts once."""
        try:
            self._received.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def _receive(self, signum: int, _: FrameType | None) -> None:
        self._received.put(signum)
