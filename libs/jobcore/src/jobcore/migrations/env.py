"""The script that Alembic runs: each migration is a transaction of its own, and starts again after a lock timeout."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from jobcore.migrations import Schema, compare
from jobcore.migrations.connections import patiently


def migrate(connection: Connection, schema: str) -> None:
    """Run the requested migrations; a newer schema is left alone."""
    found = compare(connection, context.script, schema)
    connection.rollback()  # Alembic begins a transaction for each migration only when it finds none
    if found is not Schema.NEWER:
        context.configure(connection=connection, version_table_schema=schema, transaction_per_migration=True)
        context.run_migrations()


patiently(migrate, context.config.attributes["database_url"], context.config.attributes["schema"])
