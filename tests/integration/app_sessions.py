"""An application with a session on its database, in each way in which `submit` takes one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isawaitable
from typing import Any

import asyncpg
import psycopg
import psycopg2
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from longrun_client import SubmittedTask, submit


class App:
    """A session in a transaction; `run` executes a statement of the application in it."""

    def __init__(self, session: Any, run: Callable[[str], Any], commit: Callable[[], Any], rollback: Callable[[], Any]):
        self.session = session
        self._run, self._commit, self._rollback = run, commit, rollback

    async def run(self, statement: str) -> None:
        await _finished(self._run(statement))

    async def submit(self, task_type: str = "echo", input: Any = None, **options: Any) -> SubmittedTask:
        task: SubmittedTask = await _finished(
            submit(task_type, {} if input is None else input, session=self.session, **options)
        )
        return task

    async def commit(self) -> None:
        await _finished(self._commit())

    async def rollback(self) -> None:
        await _finished(self._rollback())


async def _finished(result: Any) -> Any:
    return await result if isawaitable(result) else result


def _with_driver(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


@asynccontextmanager
async def _psycopg2(url: str) -> AsyncIterator[App]:
    connection = psycopg2.connect(url)
    yield App(connection, lambda sql: connection.cursor().execute(sql), connection.commit, connection.rollback)
    connection.close()


@asynccontextmanager
async def _psycopg(url: str) -> AsyncIterator[App]:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        yield App(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def _async_psycopg(url: str) -> AsyncIterator[App]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield App(connection, connection.execute, connection.commit, connection.rollback)


@asynccontextmanager
async def _asyncpg(url: str) -> AsyncIterator[App]:
    # without cached statements, which PgBouncer in transaction mode would not find again
    async with asyncpg.create_pool(url, min_size=1, max_size=1, statement_cache_size=0) as pool, pool.acquire() as one:
        transaction = one.transaction()
        await transaction.start()
        yield App(one, one.execute, transaction.commit, transaction.rollback)


def _sqlalchemy(driver: str) -> Callable[[str], AbstractAsyncContextManager[App]]:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[App]:
        with create_engine(_with_driver(url, driver), poolclass=NullPool).connect() as connection:
            yield App(connection, lambda sql: connection.execute(text(sql)), connection.commit, connection.rollback)

    return opened


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[App]:
    with Session(create_engine(_with_driver(url, "psycopg"), poolclass=NullPool)) as session:
        yield App(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)


@asynccontextmanager
async def _scoped_session(url: str) -> AsyncIterator[App]:
    scoped = scoped_session(sessionmaker(create_engine(_with_driver(url, "psycopg2"), poolclass=NullPool)))
    yield App(scoped, lambda sql: scoped.execute(text(sql)), scoped.commit, scoped.rollback)
    scoped.remove()


def _async_engine(url: str) -> Any:
    # without cached statements, as above
    return create_async_engine(
        _with_driver(url, "asyncpg"), poolclass=NullPool, connect_args={"statement_cache_size": 0}
    )


@asynccontextmanager
async def _async_connection(url: str) -> AsyncIterator[App]:
    async with _async_engine(url).connect() as connection:
        yield App(connection, lambda sql: connection.execute(text(sql)), connection.commit, connection.rollback)


@asynccontextmanager
async def _async_session(url: str) -> AsyncIterator[App]:
    async with AsyncSession(_async_engine(url)) as session:
        yield App(session, lambda sql: session.execute(text(sql)), session.commit, session.rollback)


APPS: dict[str, Callable[[str], AbstractAsyncContextManager[App]]] = {
    "psycopg2": _psycopg2,
    "psycopg": _psycopg,
    "async psycopg": _async_psycopg,
    "asyncpg": _asyncpg,
    "Connection": _sqlalchemy("psycopg2"),
    "Connection of psycopg": _sqlalchemy("psycopg"),
    "Session": _session,
    "scoped_session": _scoped_session,
    "AsyncConnection": _async_connection,
    "AsyncSession": _async_session,
}
"""How to open each kind of session, by its name: in a transaction, and closed at the end of the block."""
