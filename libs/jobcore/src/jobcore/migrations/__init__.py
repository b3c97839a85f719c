"""Bring a database to the current schema: `python -m jobcore.migrations` (it reads DATABASE_URL).

Migrations take `lock_timeout = 2s` and try again, so that a waiting ALTER never stops claims behind a backup;
an advisory transaction lock lets any number of processes start them at once.

A schema newer than this code is left alone: migrations expand first and contract in a later version, so the code of
the version before works on it, and a rollback needs no downgrade.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine

CONNECT_S = 5


class Schema(StrEnum):
    """A database's schema, seen from this code."""

    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


def config(database_url: str) -> Config:
    """Alembic's configuration for this database."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["database_url"] = database_url
    return result


def upgrade(database_url: str) -> None:
    """Apply every missing migration to the database at this URL; none to a newer schema."""
    command.upgrade(config(database_url), "head")


def look(database_url: str) -> Schema:
    """What the schema at this URL is; sqlalchemy's OperationalError if the database does not answer in CONNECT_S."""
    engine = create_engine(database_url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_S})
    with engine.connect() as connection:
        return compare(connection, ScriptDirectory.from_config(config(database_url)))


def compare(connection: Connection, scripts: ScriptDirectory) -> Schema:
    """What the schema behind this connection is, against these migrations; an unknown revision is a newer one."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision == scripts.get_current_head():
        return Schema.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return Schema.OLDER if revision is None or revision in known else Schema.NEWER
