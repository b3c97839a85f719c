"""How to run one query in the transaction of a session that the application has, whatever made the session.

No library is imported here but the one that the given session comes from. Nothing is committed, rolled back or closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from longrun_client.errors import NoTransaction


class Session(Protocol):
    """A connection or session of SQLAlchemy, or a connection of psycopg or psycopg2."""

    def commit(self) -> None:
        """Only tells this from an async session; it is never called."""


class AsyncSession(Protocol):
    """An async connection or session of SQLAlchemy, or an async connection of psycopg."""

    def commit(self) -> Coroutine[Any, Any, None]:
        """Only tells this from a blocking session; it is never called."""


class AsyncpgConnection(Protocol):
    """A connection of asyncpg."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction was begun on the connection."""


AUTOCOMMIT: Final = (
    "session: it commits each statement by itself, so the task would not depend on your transaction: begin one first"
)
PLACEHOLDER: Final = "{submission}"
"""Stands in a query for its one parameter, a text."""


def _sqlalchemy(connection: Any, query: str, value: str) -> str:
    if connection.dialect.name != "postgresql":
        raise TypeError(f"session: must be one of PostgreSQL, not of {connection.dialect.name}")
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise NoTransaction(AUTOCOMMIT)
    placeholder = "$1" if connection.dialect.paramstyle == "numeric_dollar" else "%s"
    result: str = connection.exec_driver_sql(query.format(submission=placeholder), (value,)).scalar_one()
    return result


def _sqlalchemy_session(session: Any, query: str, value: str) -> str:
    return _sqlalchemy(session.connection(), query, value)


async def _async_sqlalchemy(connection: Any, query: str, value: str) -> str:
    result: str = await connection.run_sync(_sqlalchemy, query, value)
    return result


async def _async_sqlalchemy_session(session: Any, query: str, value: str) -> str:
    return await _async_sqlalchemy(await session.connection(), query, value)


def _needs_transaction(connection: Any) -> None:
    from psycopg.pq import TransactionStatus

    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise NoTransaction(AUTOCOMMIT)


def _psycopg(connection: Any, query: str, value: str) -> str:
    from psycopg.rows import tuple_row

    _needs_transaction(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        result: str = cursor.execute(query.format(submission="%s"), [value]).fetchone()[0]
    return result


async def _async_psycopg(connection: Any, query: str, value: str) -> str:
    from psycopg.rows import tuple_row

    _needs_transaction(connection)
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query.format(submission="%s"), [value])
        [result] = await cursor.fetchone()
    text: str = result
    return text


def _psycopg2(connection: Any, query: str, value: str) -> str:
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor

    if connection.autocommit and connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
        raise NoTransaction(AUTOCOMMIT)
    with connection.cursor(cursor_factory=cursor) as rows:
        rows.execute(query.format(submission="%s"), [value])
        result: str = rows.fetchone()[0]
    return result


async def _asyncpg(connection: Any, query: str, value: str) -> str:
    if not connection.is_in_transaction():
        raise NoTransaction(AUTOCOMMIT)
    result: str = await connection.fetchval(query.format(submission="$1"), value)
    return result


Run = Callable[[Any, str, str], str | Awaitable[str]]
RUNS: Final[dict[str, Run]] = {
    "sqlalchemy.engine.base.Connection": _sqlalchemy,
    "sqlalchemy.orm.session.Session": _sqlalchemy_session,
    "sqlalchemy.orm.scoping.scoped_session": _sqlalchemy_session,
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": _async_sqlalchemy,
    "sqlalchemy.ext.asyncio.session.AsyncSession": _async_sqlalchemy_session,
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": _async_sqlalchemy_session,
    "psycopg.Connection": _psycopg,
    "psycopg.AsyncConnection": _async_psycopg,
    "psycopg2.extensions.connection": _psycopg2,
    "asyncpg.connection.Connection": _asyncpg,
    "asyncpg.pool.PoolConnectionProxy": _asyncpg,
}
"""By class, or a base class of it: how its sessions run a query."""


def run(session: object, query: str, value: str) -> str | Awaitable[str]:
    """Run a query with the one parameter `PLACEHOLDER` in the session's transaction; its one value.

    Raises TypeError for anything but a session, and NoTransaction, before anything is sent, if the session would commit
    the statement by itself.
    """
    for kind in type(session).__mro__:
        if known := RUNS.get(f"{kind.__module__}.{kind.__qualname__}"):
            return known(session, query, value)
    raise TypeError(
        "session: must be a connection or session of SQLAlchemy, psycopg, psycopg2 or asyncpg, "
        f"not {type(session).__module__}.{type(session).__qualname__}"
    )
