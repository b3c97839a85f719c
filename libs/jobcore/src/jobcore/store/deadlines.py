"""Deadlines of calls to PostgreSQL, kept on the client's side: a silent server honours none of its own.

psycopg2 waits in C, without a timeout, for what the socket brings. `statement_timeout` is the server's, keepalives and
`tcp_user_timeout` see a peer that is lost: neither ends the wait for one that is connected and says nothing. So each
call under way is listed here, and the process' ticker ends those that are late:

    deadline - margin   the server's own `statement_timeout` ends a statement; the connection stays good
    deadline            the socket is shut down: whoever waits for it gets an OperationalError at once
    the next connect    ends the backend that was left behind (it may wait for a standby in COMMIT, where no timeout
                        and no lost client is noticed)

The margin is an eighth of the call's time, at most a second. psycopg2's `cancel()` is of no use here: it holds the GIL
while it waits, without a timeout, for a server that may be silent.
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
"""Other severities are translated on a server with another language: whatever is not one of these is a warning."""


class Warnings:
    """The warnings of a server, as psycopg2 appends them.

    SQLAlchemy empties a list of them after each statement; it leaves alone what it cannot iterate.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def append(self, notice: str) -> None:
        """Keep a warning."""
        if not notice.startswith(HARMLESS):
            self._texts.append(notice.strip())

    def take(self) -> str:
        """What came since the last time; empty if nothing did."""
        texts, self._texts = self._texts, []
        return "; ".join(texts)


class Line:
    """One connection's socket, under a descriptor of its own, so that it is never another's that took its number."""

    def __init__(self, connection: Any) -> None:
        self.pid: int = connection.info.backend_pid
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._warnings = connection.notices = Warnings()

    @property
    def spoilt(self) -> bool:
        """Whether there is something to read although nothing was asked: the end, mostly."""
        return bool(self._poll.poll(0))

    def warned(self) -> str:
        """What the server warned of since the last time this was asked; empty if of nothing."""
        return self._warnings.take()

    def shut(self) -> None:
        """End the conversation, for the thread that waits for it too."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class Call:
    """One call under way; `deadline` on the monotonic clock, in seconds."""

    __slots__ = ("deadline", "line", "margin_s", "overdue", "timeout_s")

    def __init__(self, deadline: float, timeout_s: float) -> None:
        self.deadline = deadline
        self.timeout_s = timeout_s
        self.margin_s = min(MARGIN_S, timeout_s / MARGIN_SHARE)
        self.line: Line | None = None
        self.overdue = False

    def left_s(self) -> float:
        """Seconds until the deadline; negative past it."""
        return self.deadline - time.monotonic()

    def statement_ms(self) -> int:
        """How long the server may take for the next statement, in milliseconds; 0 if no time is left.

        In steps: PostgreSQL 14 and 15 count each different `SET` as a statement of its own in pg_stat_statements.
        """
        left = int((self.left_s() - self.margin_s) * 1000)
        if left <= 0:
            return 0
        return left - left % STEP_MS if left > STEP_MS else max(left - left % SHORT_STEP_MS, 1)


class Deadlines:
    """The calls of this process that are under way."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._lock = threading.Lock()
        self._here = threading.local()
        self._watched = False

    def begin(self, call: Call) -> Call | None:
        """This thread makes the call now; returns the one it was in the middle of, for `end`."""
        outer: Call | None = getattr(self._here, "call", None)
        self._here.call = call
        with self._lock:
            self._calls.add(call)
            if not self._watched:
                self._watched = True
                ticker.add(self.look)
        return outer

    def end(self, call: Call, outer: Call | None) -> None:
        """The call is over."""
        with self._lock:
            self._calls.discard(call)
        self._here.call = outer

    def was_late(self, call: Call) -> bool:
        """Whether its connection was interfered with; it is not from here on."""
        with self._lock:
            call.line = None
            return call.overdue

    def here(self) -> Call | None:
        """The call that this thread makes."""
        return getattr(self._here, "call", None)

    def look(self) -> None:
        """End what is late."""
        now = time.monotonic()
        with self._lock:
            for call in self._calls:
                if call.line is None:
                    continue
                if now >= call.deadline and not call.overdue:
                    call.overdue = True
                    call.line.shut()


DEADLINES: Final = Deadlines()


def _forget() -> None:
    DEADLINES.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_forget)
