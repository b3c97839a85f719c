"""Calls of store functions: each takes a connection, keeps a deadline, and raises errors of Longrun.

A store function takes a `Connection` and sends one string of statements, which is one transaction. A string that writes
begins with `DURABLE` (see store/transactions.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.settings import DEFAULT_SCHEMA
from jobcore.store import failures
from jobcore.store.deadlines import DEADLINES, Call, Socket
from jobcore.store.json_text import NotJson
from jobcore.store.pool import Pool
from jobcore.store.schema_errors import schema_error
from jobcore.store.transactions import CONFIRM, begin_strings, silent

_CONFLICT_TRIES: Final = 10

P = ParamSpec("P")
T = TypeVar("T")


class RowRefused(LongrunError):
    """PostgreSQL cannot store a value of this row: a NUL in a string, NaN, a number out of range, a failed CHECK."""


class Database:
    """PostgreSQL with Longrun's tables in `schema`.

    A call takes at most `timeout_s` seconds, whatever the server, the network or a name server does. That time includes
    the wait for a connection of the pool, connecting, the statements and their results.
    """

    def __init__(
        self, url: str, *, name: str, schema: str = DEFAULT_SCHEMA, pool_size: int = 2, timeout_s: float = 10.0
    ) -> None:
        self._schema = schema
        self._timeout_s = timeout_s
        self._pool = Pool(url, name=name, size=pool_size, timeout_s=timeout_s)
        event.listen(self.engine, "handle_error", _refuse_parameter, retval=True)
        begin_strings(self.engine, schema)

    @property
    def engine(self) -> Engine:
        """The engine of SQLAlchemy, for what has to be done about its pool and its events."""
        return self._pool.engine

    def call(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function on a connection of the pool, within `timeout_s` seconds.

        After a deadlock or a serialization failure, the function runs again. Raises StoreUnavailable if PostgreSQL is
        unavailable or does not answer (a write may or may not have been committed), RowRefused if a value cannot be
        stored, and QuotaExceeded if an owner would have more than it may.
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
                raise silent(call) from error
            if exceeded := failures.over_quota(error):
                raise exceeded from error
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
        self._pool.close()

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
        call.socket = socket = self._pool.socket(connection)
        try:
            result = work(connection)
            if socket.take_warnings():
                _confirm(connection, socket)
            return result
        except DBAPIError as error:
            if failures.is_read_only(error) and not connection.invalidated:
                connection.invalidate()  # a new connection may reach the primary, or be allowed to write
            raise
        finally:
            if DEADLINES.was_late(call):
                self._pool.leave_behind(socket)
                if not connection.invalidated:
                    connection.invalidate()


def _refuse_parameter(context: ExceptionContext) -> RowRefused | None:
    """The error for a value that cannot be written into a statement (NUL, a lone surrogate); None for other errors."""
    error = context.original_exception
    return RowRefused(str(error)) if isinstance(error, ValueError) else None


def _confirm(connection: Connection, socket: Socket) -> None:
    """Commit once more after a warning, which may have said that a commit did not wait for its standby."""
    connection.execute(CONFIRM)
    if warnings := socket.take_warnings():
        raise StoreUnavailable("PostgreSQL did not confirm a commit", reason=warnings)
