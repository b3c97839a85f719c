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
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.settings import DEFAULT_SCHEMA

DURABLE: Final = """SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = '10s'; SET LOCAL timezone = 'UTC';
"""

_CONFLICT_TRIES: Final = 10
_CONFLICTS: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_AWAY: Final = frozenset({"25006", "53300", "55P03", "57014", "57P01", "57P02", "57P03"})

P = ParamSpec("P")
T = TypeVar("T")


class RowRefused(LongrunError):
    """PostgreSQL cannot store this value (NUL in a string, NaN, out of range, a CHECK): the row is at fault."""


class Database:
    """PostgreSQL as Longrun uses it.

    `schema` is where its tables are. `network_timeout_s` bounds how long a vanished server can hold a call.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        schema: str = DEFAULT_SCHEMA,
        pool_size: int = 2,
        network_timeout_s: float = 10.0,
        pre_ping: bool = False,
    ) -> None:
        # looked up at the call: tracing wraps it after this module was imported
        self.engine: Engine = sqlalchemy.create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=2,
            pool_pre_ping=pre_ping,
            connect_args={
                "application_name": name,
                "connect_timeout": max(2, int(network_timeout_s / 3)),
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": int(network_timeout_s * 1000),
            },
        )
        begin_strings(self.engine, schema)

    def call(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function on a connection of the pool.

        A deadlock or a serialization failure is tried again. Raises StoreUnavailable when PostgreSQL is away
        (a write may or may not have been committed then) and RowRefused when a value cannot be stored.
        """
        for left in reversed(range(_CONFLICT_TRIES)):
            try:
                with self.engine.connect() as connection:
                    return function(connection, *args, **kwargs)
            except (DataError, IntegrityError) as error:
                raise RowRefused(_line(error)) from error
            except ValueError as error:
                # what cannot even be written into a statement: NaN, a lone surrogate
                raise RowRefused(str(error)) from error
            except PoolTimeout as error:
                raise StoreUnavailable("every database connection of this process is busy") from error
            except DBAPIError as error:
                if _is_too_large(error):
                    raise RowRefused(_line(error)) from error
                if _code(error) in _CONFLICTS and left:
                    time.sleep(0.005 * (_CONFLICT_TRIES - left))
                    continue
                if _is_away(error):
                    raise StoreUnavailable(_line(error)) from error
                raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def begin_strings(engine: Engine, schema: str) -> None:
    """Have every string that this engine sends begin with what must hold for it alone.

    `options` at the connect would cost nothing, but PgBouncer refuses it and its server connections are shared.
    """
    prefix = f'SET LOCAL search_path = "{schema}", public, pg_temp; SET LOCAL jit = off;\n'

    def begin(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return prefix + statement, parameters

    event.listen(engine, "before_cursor_execute", begin, retval=True)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Make the strings that are sent inside one transaction, for what needs several store functions at once.

    Each string sees what was committed before it (READ COMMITTED). Prepared statements cannot be used inside.
    """
    with connection.execution_options(isolation_level="READ COMMITTED").begin():
        yield


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "pgcode", None)


def _is_too_large(error: DBAPIError) -> bool:
    """A program limit (SQLSTATE class 54), or no memory for this statement: trying again would not help."""
    code = _code(error) or ""
    return code.startswith("54") or code == "53200"


def _is_away(error: DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    return isinstance(error, OperationalError) or _code(error) in _AWAY


def _line(error: DBAPIError) -> str:
    return str(error.orig).strip().split("\n")[0]
