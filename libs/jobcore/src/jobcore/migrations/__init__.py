"""Bring a database to the current schema: `python -m jobcore.migrations` (it reads DATABASE_URL and LONGRUN_SCHEMA).

Longrun's tables, and the table in which Alembic keeps their version, have a schema of their own, so the tables of other
applications in the same database are never touched. The tables of a database of version 0.1 are moved from `public`.

A migration never stops a running system. Each is a transaction of its own. It waits at most 2 s for a lock and then
starts again, so claims never wait behind it for longer. Indexes of tables with rows are built concurrently, in
migrations that do nothing else (`jobcore.migrations.indexes`). After an interruption, start the command again.

A schema that is newer than this code is left alone. Migrations expand first and contract in a later version, so the
code of the version before works with the newer schema, and a rollback needs no downgrade.

Of jobcore it imports settings, errors and, from store, only how to read the errors of PostgreSQL.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from jobcore.migrations import adoption, place, superuser
from jobcore.migrations.connections import engine, patiently, refusals, turn
from jobcore.migrations.refusals import Refused
from jobcore.settings import DEFAULT_SCHEMA

FOLDER: Final = str(Path(__file__).parent)


class Schema(StrEnum):
    """The schema of a database, compared with this code."""

    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def config(database_url: str, schema: str = DEFAULT_SCHEMA) -> Config:
    """The configuration of Alembic for this schema of this database."""
    result = Config()
    result.set_main_option("script_location", FOLDER)
    result.attributes["database_url"] = database_url
    result.attributes["schema"] = schema
    return result


def upgrade(database_url: str, schema: str = DEFAULT_SCHEMA, *, shed_superuser: bool = False) -> None:
    """Apply all missing migrations to the database at this URL, one at a time; a newer schema is left alone.

    With `shed_superuser`, the role that an earlier chart made as a superuser loses the superuser's rights first.

    Raises Refused, with one line that says what to do, if the database or the role does not allow it.
    """
    settings = config(database_url, schema)
    with refusals(database_url, schema), turn(database_url, schema):
        if shed_superuser:
            patiently(superuser.shed, database_url, schema)
        patiently(place.prepare, database_url, schema)
        patiently(adoption.adopt, database_url, schema)
        while look(database_url, schema) is Schema.OLDER:
            _apply_next(settings)


def look(database_url: str, schema: str = DEFAULT_SCHEMA) -> Schema:
    """Compare the schema at this URL. Raises Refused if it is another application's, or the role may not read it."""
    with refusals(database_url, schema), engine(database_url, schema).connect() as connection:
        return compare(connection, _scripts(), schema)


def compare(connection: Connection, scripts: ScriptDirectory, schema: str) -> Schema:
    """Compare the schema of this connection with these migrations. An unknown revision is a newer one."""
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


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(FOLDER)


def _apply_next(settings: Config) -> None:
    """Apply one migration, as `alembic upgrade +1` does, which would import all of them anew each time."""
    scripts = _scripts()
    with EnvironmentContext(settings, scripts, fn=lambda revision, _: scripts._upgrade_revs("+1", revision)):
        scripts.run_env()
