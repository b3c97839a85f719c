"""Connecting within a deadline: each attempt is made by a thread of its own, which nobody has to wait for.

libpq's `connect_timeout` counts for each host and address anew, and nothing bounds its wait for a name server. An
attempt that was given up goes on, and whoever connects next waits for it instead of beginning another: so there are
never more attempts than callers, and a host that takes longer than one call's patience is reached by a later one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import psycopg2

KEPT_S: Final = 10.0
"""A connection that nobody waited for any more is still good for so many seconds."""


class _Attempt:
    """One connection in the making."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._error: BaseException | None = None
        self._ended_at = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="connect", daemon=True).start()

    @property
    def hopeful(self) -> bool:
        """Whether it may yet give a connection that is fresh."""
        if not self._ended.is_set():
            return True
        return self._error is None and time.monotonic() < self._ended_at + KEPT_S

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False if it has none within so many seconds."""
        return self._ended.wait(max(0.0, timeout_s))

    def result(self) -> Any:
        """The connection, or the error that there is none."""
        if self._error is not None:
            raise self._error
        return self._connection

    def discard(self) -> None:
        """Close what came of it."""
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        try:
            self._connection = self._connect()
        except BaseException as error:
            self._error = error
        self._ended_at = time.monotonic()
        self._ended.set()


class Connecting:
    """The attempts of one pool."""

    def __init__(self) -> None:
        self._given_up: deque[_Attempt] = deque()
        self._lock = threading.Lock()

    def connect(self, connect: Callable[[], Any], timeout_s: float) -> Any:
        """A connection that `connect` made; psycopg2.OperationalError if there is none within so many seconds."""
        attempt = self._next() or _Attempt(connect)
        if attempt.wait(timeout_s):
            return attempt.result()
        with self._lock:
            self._given_up.append(attempt)
        raise psycopg2.OperationalError(f"no connection within {timeout_s:.1f} s")

    def _next(self) -> _Attempt | None:
        with self._lock:
            while self._given_up:
                attempt = self._given_up.popleft()
                if attempt.hopeful:
                    return attempt
                attempt.discard()
        return None
