"""How a migration connects: with a limit only for its wait for locks, one process at a time, again after that limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg2
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from jobcore.migrations.refusals import Refused, code, explained

CONNECT_S: Final = 5
LOCK_TRIES: Final = 30
LOCKED: Final = frozenset({"55P03", "40P01"})
"""SQLSTATEs lock_not_available and deadlock_detected."""
TURN: Final = 0x6C6F6E6772756E  # "longrun"
UNLIMITED: Final = "-c statement_timeout=0 -c lock_timeout=0 -c jit=off"
BEGIN: Final = """
SET LOCAL jit = off; SET LOCAL lock_timeout = '2s'; SET LOCAL search_path = "{schema}", pg_temp;
SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
"""


def engine(database_url: str, schema: str) -> Engine:
    """Connections whose transactions are READ COMMITTED, use `schema`, and wait 2 s for a lock, with no other limit.

    An index is built concurrently outside of a transaction, so its limits are lifted at connection time. PgBouncer
    refuses that by default; then the limits of the role stay in force.
    """
    result = create_engine(
        database_url,
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        use_native_hstore=False,  # otherwise each new connection asks for the types of hstore
        connect_args={
            "connect_timeout": CONNECT_S,
            "client_encoding": "utf8",
            "application_name": "longrun-migrations",
        },
    )

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(BEGIN.format(schema=schema))

    event.listen(result, "do_connect", _connect_without_limits)
    event.listen(result, "begin", begin)
    return result


@contextmanager
def turn(database_url: str, schema: str) -> Iterator[None]:
    """Let only one process migrate a database while the block lasts; others wait.

    The lock belongs to a transaction on a connection of its own, because behind PgBouncer the lock of a session could
    get lost or stay. That transaction has no snapshot, so nothing waits for its end.
    """
    with engine(database_url, schema).connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": TURN}).scalar():
            print("longrun: another migration of this database is under way: waiting for its end", flush=True)
            connection.execute(text("SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(:key)"), {"key": TURN})
        yield


def patiently(step: Callable[[Connection, str], None], database_url: str, schema: str) -> None:
    """Run a step and commit. If a table stays locked for longer than the lock timeout, run the step again."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            with engine(database_url, schema).connect() as connection:
                step(connection, schema)
                return connection.commit()
        except DBAPIError as error:
            if code(error) in LOCKED and left:
                print("longrun: a table is locked by another session, trying the migration again", flush=True)
                time.sleep(1)
                continue
            raise
    raise AssertionError("unreachable")


@contextmanager
def refusals(database_url: str, schema: str) -> Iterator[None]:
    """Raise Refused for each error that the server reports; OperationalError, if it is unavailable, stays as it is."""
    try:
        yield
    except DBAPIError as error:
        if code(error) is None:
            raise
        raise Refused(explained(error, make_url(database_url).username, schema)) from error


def _connect_without_limits(dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
    options = " ".join(filter(None, (parameters.get("options"), UNLIMITED)))
    try:
        return dialect.connect(*arguments, **{**parameters, "options": options})
    except psycopg2.OperationalError as error:
        if "startup parameter" not in str(error):
            raise
        return None  # connect as usual
