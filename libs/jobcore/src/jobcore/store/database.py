"""The connection to PostgreSQL: a pool in autocommit, so that one statement string is one transaction.

A store function takes a `Connection` and sends one string. Strings that write start with `DURABLE`: PostgreSQL runs
a string of several statements as one implicit transaction, so `SET LOCAL` holds for it and needs no round trip of
its own. Nothing is ever set for a session: PgBouncer in transaction mode may sit in between.

Every string that is sent begins with `SET LOCAL` of what must hold whatever the server, the role or the database is
configured with: the schema in which names are looked up, and no JIT, which compiles for longer than a statement runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.host import ticker
from jobcore.settings import DEFAULT_SCHEMA
from jobcore.store import failures
from jobcore.store.connecting import Connecting
from jobcore.store.deadlines import DEADLINES, Call, Line
from jobcore.store.json_text import NotJson
from jobcore.store.schema_errors import schema_error

DURABLE: Final = """SET LOCAL synchronous_commit = on; SET LOCAL timezone = 'UTC';
"""

# behind PgBouncer the pids are its own: none of them is found then, or one that bears our name and is of no use
END_LEFT_BEHIND: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(%(pids)s) AND usename = current_user AND application_name = %(name)s AND pid <> pg_backend_pid()
"""
SHRINK_S: Final = 60.0
"""Connections that a pool did not need at once for so many seconds are closed."""
STATEMENT_MS: Final = 10_000
"""The longest that a statement outside of a call may take, in milliseconds."""
_CONFLICT_TRIES: Final = 10
_LINE: Final = "line"

P = ParamSpec("P")
T = TypeVar("T")


class RowRefused(LongrunError):
    """PostgreSQL cannot store this value (NUL in a string, NaN, out of range, a CHECK): the row is at fault."""


class Database:
    """PostgreSQL as Longrun uses it.

    `schema` is where its tables are. A call takes at most `timeout_s` seconds, whatever the server, the network or a
    name server does: waiting for a connection of the pool, connecting, statements and results are all within it.
    """

    def __init__(
        self, url: str, *, name: str, schema: str = DEFAULT_SCHEMA, pool_size: int = 2, timeout_s: float = 10.0
    ) -> None:
        self._schema = schema
        self._timeout_s = timeout_s
        self._connecting = Connecting()
        self._name = name
        self._left_behind: set[int] = set()
        self._needed, self._shrink_at = 0, time.monotonic() + SHRINK_S
        # looked up at the call: tracing wraps it after this module was imported
        self.engine: Engine = sqlalchemy.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=min(2.0, timeout_s),
            hide_parameters=True,  # else what a job was given is in the log of each error
            use_native_hstore=False,  # else each new connection asks for its types
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
        event.listen(self.engine, "close", _let_go)
        event.listen(self.engine, "handle_error", _refuse_parameter, retval=True)
        begin_strings(self.engine, schema)
        ticker.add(self._shrink)

    def call(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function on a connection of the pool, within `timeout_s` seconds.

        A deadlock or a serialization failure is tried again. Raises StoreUnavailable when PostgreSQL is away or silent
        (a write may or may not have been committed then) and RowRefused when a value cannot be stored.
        """
        return self.call_until(time.monotonic() + self._timeout_s, function, *args, **kwargs)

    def call_until(
        self, deadline: float, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`call` with an earlier deadline, on the monotonic clock in seconds."""
        call = Call(deadline, self._timeout_s)
        outer = DEADLINES.begin(call)
        try:
            return self._call(call, lambda connection: function(connection, *args, **kwargs))
        except (DataError, IntegrityError) as error:
            raise RowRefused(failures.line(error)) from error
        except NotJson as error:
            raise RowRefused(str(error)) from error
        except PoolTimeout as error:
            raise StoreUnavailable("every database connection of this process is busy") from error
        except DBAPIError as error:
            if call.overdue:
                raise _silent(call) from error
            if failures.is_too_large(error):
                raise RowRefused(failures.line(error)) from error
            if reason := schema_error(error, self.engine, self._schema):
                raise StoreUnavailable(reason) from error
            if failures.is_away(error):
                raise failures.unavailable(error) from error
            raise
        finally:
            DEADLINES.end(call, outer)

    def close(self) -> None:
        """Close every pooled connection."""
        ticker.remove(self._shrink)
        self.engine.dispose()

    def _call(self, call: Call, work: Callable[[Connection], T]) -> T:
        for left in reversed(range(_CONFLICT_TRIES)):
            try:
                with self.engine.connect() as connection:
                    return self._use(call, connection, work)
            except DBAPIError as error:
                if not (failures.is_conflict(error) and left and call.left_s() > call.margin_s):
                    raise
                time.sleep(0.005 * (_CONFLICT_TRIES - left))
        raise AssertionError("unreachable")

    def _use(self, call: Call, connection: Connection, work: Callable[[Connection], T]) -> T:
        line: Line = connection.info[_LINE]
        if line.spoilt:
            connection.invalidate()  # it was cut while nobody used it
            line = connection.info[_LINE]  # of another one
        self._needed = max(self._needed, self.engine.pool.checkedout())  # type: ignore[attr-defined]
        call.line = line
        try:
            result = work(connection)
            if line.warned():
                _confirm(connection, line)
            return result
        except DBAPIError as error:
            if failures.is_read_only(error) and not connection.invalidated:
                connection.invalidate()  # another one may reach the primary, or be let write
            raise
        finally:
            if DEADLINES.was_late(call):
                self._left_behind.add(line.pid)
                if not connection.invalidated:
                    connection.invalidate()

    def _connect(self, dialect: Any, record: Any, args: Any, parameters: Any) -> Any:
        """Connect within the call's deadline (SQLAlchemy's event `do_connect`)."""
        call = DEADLINES.here()
        timeout_s = call.left_s() if call else self._timeout_s
        connection = self._connecting.connect(partial(dialect.loaded_dbapi.connect, *args, **parameters), timeout_s)
        record.info[_LINE] = line = Line(connection)
        if call:
            call.line = line  # for what is asked of a new connection before the call has it
        self._end_left_behind(connection)
        return connection

    def _end_left_behind(self, connection: Any) -> None:
        """End the backends whose calls were late: there would be one more with each call while a standby is away."""
        if not self._left_behind:
            return
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(END_LEFT_BEHIND, {"pids": list(self._left_behind), "name": self._name})
        self._left_behind.clear()

    def _shrink(self) -> None:
        """Let a pool become as small as its use was lately: PostgreSQL has few connections, and others need them."""
        now = time.monotonic()
        if now < self._shrink_at:
            return
        needed, self._needed = self._needed, 0
        self._shrink_at = now + SHRINK_S
        if self.engine.pool.checkedin() + self.engine.pool.checkedout() > max(1, needed):  # type: ignore[attr-defined]
            self.engine.dispose()  # those in use are closed when they come back


def _let_go(_connection: Any, record: Any) -> None:
    line = record.info.pop(_LINE, None)
    if line:
        line.close()


def _refuse_parameter(context: ExceptionContext) -> RowRefused | None:
    """What cannot even be written into a statement: NUL, a lone surrogate. Other errors stay what they are."""
    error = context.original_exception
    return RowRefused(str(error)) if isinstance(error, ValueError) else None


def _silent(call: Call) -> StoreUnavailable:
    return StoreUnavailable(f"PostgreSQL did not answer within {call.timeout_s:g} s")


CONFIRM: Final = text(
    DURABLE
    + """
SELECT pg_logical_emit_message(true, 'longrun', 'confirm') WHERE current_setting('transaction_read_only') = 'off'
"""
)


def _confirm(connection: Connection, line: Line) -> None:
    """Commit once more after a warning: it may have said that a commit did not wait for its standby.

    What is committed durably after it is behind it in the WAL: once a standby has the one, it has both.
    """
    connection.execute(CONFIRM)
    if warning := line.warned():
        raise StoreUnavailable("PostgreSQL did not confirm a commit", reason=warning)


def begin_strings(engine: Engine, schema: str) -> None:
    """Have every string that this engine sends begin with what must hold for it alone.

    `options` at the connect would cost nothing, but PgBouncer refuses it and its server connections are shared.
    """
    prefix = f'SET LOCAL search_path = "{schema}", pg_temp; SET LOCAL jit = off; '

    def begin(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return f"{prefix}SET LOCAL statement_timeout = {_statement_ms()};\n{statement}", parameters

    event.listen(engine, "before_cursor_execute", begin, retval=True)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Make the strings that are sent inside one transaction, for what needs several store functions at once.

    Each string sees what was committed before it (READ COMMITTED). Prepared statements cannot be used inside.
    """
    with connection.execution_options(isolation_level="READ COMMITTED").begin():
        yield


def _statement_ms() -> int:
    call = DEADLINES.here()
    if call is None:
        return STATEMENT_MS
    milliseconds = call.statement_ms()
    if milliseconds == 0:
        raise _silent(call)
    return milliseconds
