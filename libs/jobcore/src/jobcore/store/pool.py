"""The connections of one process to PostgreSQL: made within a deadline, kept while they are needed.

They are in autocommit, so that each statement string is one transaction.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, Engine, event

from jobcore.host import forks, ticker
from jobcore.store.connecting import Connecting
from jobcore.store.deadlines import DEADLINES, Socket

# Behind PgBouncer the pids are PgBouncer's own. Then no backend is found, or one of ours that is not in use.
END_LEFT_BEHIND: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(%(pids)s) AND usename = current_user AND application_name = %(name)s AND pid <> pg_backend_pid()
"""
SHRINK_S: Final = 60.0
"""The pool closes its connections after a period of so many seconds in which it needed fewer at once than it has."""
_SOCKET: Final = "socket"


class Pool:
    """At most `size` connections, named `name` on the server. Connecting takes at most `timeout_s` seconds.

    Within a call, its deadline bounds connecting too.
    """

    def __init__(self, url: str, *, name: str, size: int, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._connecting = Connecting()
        self._left_behind: set[int] = set()
        self._needed, self._shrink_at = 0, time.monotonic() + SHRINK_S
        # create_engine is looked up at the call, because tracing wraps it after this module was imported
        self.engine: Engine = sqlalchemy.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=size,
            max_overflow=0,
            pool_timeout=min(2.0, timeout_s),
            hide_parameters=True,  # otherwise the log of each error contains the inputs of jobs
            use_native_hstore=False,  # otherwise each new connection asks for the types of hstore
            connect_args={
                "application_name": name,
                "client_encoding": "utf8",
                "connect_timeout": max(2, int(timeout_s / 3)),  # for each host of several
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": int(timeout_s * 1000),
            },
        )
        event.listen(self.engine, "do_connect", self._connect)
        event.listen(self.engine, "close", _close_socket)
        ticker.add(self._shrink)
        forks.watch(self)

    def in_fork(self) -> None:
        """Make connections of its own: on those of the original process, both would mix up their statements."""
        self._connecting = Connecting()
        self._left_behind = set()
        self.engine.dispose(close=False)

    def socket(self, connection: Connection) -> Socket:
        """The socket of a connection that a call begins to use; a connection that was cut while idle is replaced."""
        socket: Socket = connection.info[_SOCKET]
        if socket.has_unread_data:
            connection.invalidate()
            socket = connection.info[_SOCKET]  # of the new connection
        self._needed = max(self._needed, self.engine.pool.checkedout())  # type: ignore[attr-defined]
        return socket

    def leave_behind(self, socket: Socket) -> None:
        """Remember the backend of a late call; the next new connection ends it."""
        self._left_behind.add(socket.pid)

    def close(self) -> None:
        """Close every pooled connection."""
        ticker.remove(self._shrink)
        self.engine.dispose()

    def _connect(self, dialect: Any, record: Any, args: Any, parameters: Any) -> Any:
        """Connect within the deadline of the call (SQLAlchemy's event `do_connect`)."""
        call = DEADLINES.here()
        timeout_s = call.left_s() if call else self._timeout_s
        connection = self._connecting.connect(partial(dialect.loaded_dbapi.connect, *args, **parameters), timeout_s)
        record.info[_SOCKET] = socket = Socket(connection)
        if call:
            call.socket = socket  # for statements that are sent before the call has the connection
        self._end_left_behind(connection)
        return connection

    def _end_left_behind(self, connection: Any) -> None:
        """End the backends of late calls; without this, each call would leave one more while a standby is away."""
        if not self._left_behind:
            return
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(END_LEFT_BEHIND, {"pids": list(self._left_behind), "name": self._name})
        self._left_behind.clear()

    def _shrink(self) -> None:
        """Close all idle connections if fewer were needed lately: PostgreSQL has few, and others need them."""
        now = time.monotonic()
        if now < self._shrink_at:
            return
        needed, self._needed = self._needed, 0
        self._shrink_at = now + SHRINK_S
        if self.engine.pool.checkedin() + self.engine.pool.checkedout() > max(1, needed):  # type: ignore[attr-defined]
            self.engine.dispose()  # connections in use are closed when they are returned


def _close_socket(_connection: Any, record: Any) -> None:
    socket = record.info.pop(_SOCKET, None)
    if socket:
        socket.close()
