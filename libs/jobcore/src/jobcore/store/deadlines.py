"""Deadlines of calls to PostgreSQL, kept by the client, because a server that does not answer keeps none of its own.

psycopg2 waits in C for the socket, without a timeout. `statement_timeout` is the server's; keepalives and
`tcp_user_timeout` detect a lost peer. None of them ends the wait for a peer that is connected and does not answer. So
each call under way is listed here, and the ticker of the process ends those that are late:

    deadline - margin   the server's own `statement_timeout` ends a statement; the connection stays usable
    deadline            the socket is shut down; the thread that waits for it gets an OperationalError at once
    the next connect    ends the backend that was left behind (it may wait in COMMIT for a standby, where it notices
                        neither a timeout nor a lost client)

The margin is an eighth of the time of the call, at most a second. psycopg2's `cancel()` does not help: while it waits
for the server, it holds the GIL and has no timeout.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Final

from jobcore.host import ticker

MARGIN_S: Final = 1.0
MARGIN_SHARE: Final = 8
STEP_MS: Final = 250
SHORT_STEP_MS: Final = 25
HARMLESS: Final = ("DEBUG", "LOG", "INFO", "NOTICE")
"""Every other severity is a warning. Its name cannot be compared, because servers translate it into their language."""


class Warnings:
    """The warnings of a server; psycopg2 appends its notices.

    It is no list, because SQLAlchemy empties a list after each statement; it leaves alone what it cannot iterate.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def append(self, notice: str) -> None:
        """Keep the notice if it is a warning."""
        if not notice.startswith(HARMLESS):
            self._texts.append(notice.strip())

    def take(self) -> str:
        """The warnings since the last `take`, as one text; empty if there are none."""
        texts, self._texts = self._texts, []
        return "; ".join(texts)


class Socket:
    """The socket of one connection.

    It has a descriptor of its own: the number of psycopg2's descriptor may by now mean the socket of another
    connection.
    """

    def __init__(self, connection: Any) -> None:
        self.pid: int = connection.info.backend_pid
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._warnings = connection.notices = Warnings()

    @property
    def has_unread_data(self) -> bool:
        """Whether the server sent something while no statement was under way, which mostly is the end of the stream."""
        return bool(self._poll.poll(0))

    def take_warnings(self) -> str:
        """The warnings of the server since the last call, as one text; empty if there are none."""
        return self._warnings.take()

    def shut_down(self) -> None:
        """End the connection, also for the thread that waits for it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptor."""
        self._socket.close()


class Call:
    """One call under way; `deadline` is on the monotonic clock, in seconds."""

    __slots__ = ("deadline", "margin_s", "overdue", "socket", "timeout_s")

    def __init__(self, deadline: float, timeout_s: float) -> None:
        self.deadline = deadline
        self.timeout_s = timeout_s
        self.margin_s = min(MARGIN_S, timeout_s / MARGIN_SHARE)
        self.socket: Socket | None = None
        self.overdue = False

    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.monotonic()

    def statement_ms(self) -> int:
        """How long the server may take for the next statement, in milliseconds; 0 if no time is left.

        It is rounded down to a step, because pg_stat_statements of PostgreSQL 14 and 15 has a row for each different
        `SET`.
        """
        left = int((self.left_s() - self.margin_s) * 1000)
        if left <= 0:
            return 0
        return left - left % STEP_MS if left > STEP_MS else max(left - left % SHORT_STEP_MS, 1)


class Deadlines:
    """The calls under way in this process."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._watched = False

    def begin(self, call: Call) -> Call | None:
        """Begin a call of this thread; returns the call that it is a part of, if any, for `end`."""
        outer: Call | None = getattr(self._here, "call", None)
        self._here.call = call
        with self._lock:
            self._calls.add(call)
            if not self._watched:
                self._watched = True
                ticker.add(self.check)
        return outer

    def end(self, call: Call, outer: Call | None) -> None:
        """End the call of this thread."""
        with self._lock:
            self._calls.discard(call)
        self._here.call = outer

    def was_late(self, call: Call) -> bool:
        """Whether the socket of the call was shut down; it will not be after this."""
        with self._lock:
            call.socket = None
            return call.overdue

    def here(self) -> Call | None:
        """The call of this thread; None outside of calls."""
        return getattr(self._here, "call", None)

    def check(self) -> None:
        """End the calls that are late."""
        now = time.monotonic()
        with self._lock:
            for call in self._calls:
                if call.socket is None:
                    continue
                if now >= call.deadline and not call.overdue:
                    call.overdue = True
                    call.socket.shut_down()


DEADLINES: Final = Deadlines()


def _forget() -> None:
    DEADLINES.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_forget)
