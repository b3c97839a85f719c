"""Alembic's entry: one transaction, one migrator at a time, never a long wait for a lock."""

from __future__ import annotations

import time

from alembic import context
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from jobcore.migrations import Schema, compare

LOCK_TRIES = 30
MIGRATION_LOCK = 0x6C6F6E6772756E  # "longrun"


def migrate(database_url: str) -> None:
    """Run the missing migrations in one transaction; a newer schema is left alone."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            if compare(connection, context.script) is not Schema.NEWER:
                context.run_migrations()


def migrate_patiently(database_url: str) -> None:
    """Try again when a table was locked for longer than the lock timeout (SQLSTATE 55P03)."""
    for left in reversed(range(LOCK_TRIES)):
        try:
            migrate(database_url)
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != "55P03" or left == 0:
                raise
            print("longrun: a table is locked by another session, trying the migration again", flush=True)
            time.sleep(1)
        else:
            return


migrate_patiently(context.config.attributes["database_url"])
