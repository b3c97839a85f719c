"""Connecting within a deadline: each attempt has a thread of its own, so that no caller has to wait for its end.

The `connect_timeout` of libpq starts again for each host and address, and nothing bounds its wait for a name server. An
attempt that a caller gave up continues, and the next caller waits for it instead of starting another. So there are
never more attempts than callers, and a host that is slower than the deadline of one call is reached by a later call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import psycopg2

KEPT_S: Final = 10.0
"""A connection that was made after its caller gave up is used if it is not older than this, in seconds."""


class _Attempt:
    """One attempt to connect, in a thread of its own."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: Any = None
        self._error: BaseException | None = None
        self._ended_at = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="connect", daemon=True).start()

    @property
    def is_usable(self) -> bool:
        """Whether it may still end with a connection, or did so less than `KEPT_S` seconds ago."""
        if not self._ended.is_set():
            return True
        return self._error is None and time.monotonic() < self._ended_at + KEPT_S

    def wait(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds for its end; returns whether it has ended."""
        return self._ended.wait(max(0.0, timeout_s))

    def result(self) -> Any:
        """The connection; raises what connecting raised."""
        if self._error is not None:
            raise self._error
        return self._connection

    def discard(self) -> None:
        """Close its connection, if there is one."""
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
    """The attempts to connect of one pool."""

    def __init__(self) -> None:
        self._given_up: deque[_Attempt] = deque()
        self._lock = threading.Lock()

    def connect(self, connect: Callable[[], Any], timeout_s: float) -> Any:
        """A connection that `connect` made; raises psycopg2.OperationalError if there is none within `timeout_s`."""
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
                if attempt.is_usable:
                    return attempt
                attempt.discard()
        return None
