"""Wait for SIGINT (Ctrl-C), SIGTERM or SIGHUP (a closed terminal)."""

from __future__ import annotations

import signal
from queue import Empty, SimpleQueue
from types import FrameType


class Signals:
    """Handles SIGINT, SIGTERM and SIGHUP of this process; create it in the main thread."""

    def __init__(self) -> None:
        # Not an Event: its lock would deadlock if a signal interrupted `wait` at the wrong moment.
        self._received: SimpleQueue[int] = SimpleQueue()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._receive)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether a signal arrived within `timeout_s` (None: wait for one); each signal counts once."""
        try:
            self._received.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def _receive(self, signum: int, _: FrameType | None) -> None:
        self._received.put(signum)
