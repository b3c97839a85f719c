"""Bring a database to the current schema: `python -m jobcore.migrations` (it reads DATABASE_URL and LONGRUN_SCHEMA).

Longrun's tables, and Alembic's note of their version, are in a schema of their own, so what other applications keep
in the same database is never looked at. The tables of a database that 0.1 made are moved there from `public`.

A migration never stops a running system. Each is a transaction of its own, which waits at most 2 s for a lock and is
tried again, so claims never queue behind it for longer. Indexes of tables that have rows are built concurrently, in
migrations that do nothing else (`jobcore.migrations.indexes`). What was interrupted is simply started again.

A schema newer than this code is left alone: migrations expand first and contract in a later version, so the code of
the version before works on it, and a rollback needs no downgrade.

Of jobcore it imports settings, errors and, from store, only the reading of PostgreSQL's errors.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from jobcore.migrations import adoption, place, superuser
from jobcore.migrations.connections import engine, patiently, refusals, turn
from jobcore.migrations.refusals import Refused
from jobcore.settings import DEFAULT_SCHEMA


class Schema(StrEnum):
    """A database's schema, seen from this code."""

    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def config(database_url: str, schema: str = DEFAULT_SCHEMA) -> Config:
    """Alembic's configuration for this schema of this database."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["database_url"] = database_url
    result.attributes["schema"] = schema
    return result


def upgrade(database_url: str, schema: str = DEFAULT_SCHEMA, *, shed_superuser: bool = False) -> None:
    """Apply every missing migration to the database at this URL, one at a time; none to a newer schema.

    With `shed_superuser` the role of a server that an earlier chart made is no superuser afterwards.

    Raises Refused, with one line that says what to do, when the database or the role does not allow it.
    """
    settings = config(database_url, schema)
    with refusals(database_url, schema), turn(database_url, schema):
        if shed_superuser:
            patiently(superuser.shed, database_url, schema)
        patiently(place.prepare, database_url, schema)
        patiently(adoption.adopt, database_url, schema)
        while look(database_url, schema) is Schema.OLDER:
            command.upgrade(settings, "+1")


def look(database_url: str, schema: str = DEFAULT_SCHEMA) -> Schema:
    """What the schema at this URL is; Refused if it is another application's or the role may not look."""
    with refusals(database_url, schema), engine(database_url, schema).connect() as connection:
        return compare(connection, ScriptDirectory.from_config(config(database_url, schema)), schema)


def compare(connection: Connection, scripts: ScriptDirectory, schema: str) -> Schema:
    """What the schema behind this connection is, against these migrations; an unknown revision is a newer one."""
    options = {"version_table_schema": schema}
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    if revision == scripts.get_current_head():
        return Schema.CURRENT
    if revision is None or revision in {script.revision for script in scripts.walk_revisions()}:
        return Schema.OLDER
    if not place.holds_longrun(connection, schema):
        raise Refused(
            f'the schema "{schema}" belongs to another application, whose migrations are at {revision}: '
            "give Longrun a schema of its own with LONGRUN_SCHEMA"
        )
    return Schema.NEWER
