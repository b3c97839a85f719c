"""A time limit for a whole request, which also ends a server that sends very slowly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

from jobcore.outbound.errors import FetchTimeout


class Deadline:
    """Shuts down the watched connections after `seconds`, or at the end of the `with` block.

    The timeout of a socket restarts with each byte, so it never stops a server that sends one byte a second, whether in
    the TLS handshake, the headers or the body. A timer that shuts down the connection stops all three.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._cut()
        with self._lock:
            for connection in self._watched:
                connection.close()
            self._watched.clear()

    def left_s(self) -> float:
        """Seconds left; raises FetchTimeout if there are none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise FetchTimeout(f"the answer took longer than {self._seconds:g} s to arrive")
        return left

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection down at the deadline, whichever code reads from it then."""
        # A duplicate, because wrapping a socket in TLS detaches the descriptor from the original object.
        with self._lock:
            self._watched.append(connection.dup())

    def _cut(self) -> None:
        with self._lock:
            for connection in self._watched:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
