"""Errors of statements that come from a missing or older schema or a missing right, and what to do about them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jobcore.store import failures

MIGRATE: Final = "run `python -m jobcore.migrations`"
OLDER: Final = f"the database schema is older than this version: {MIGRATE}"
NO_RIGHT: Final = "42501"
UNKNOWN: Final = frozenset({"3F000", "42P01", "42703", "42704", "42883", "42P10"})
"""SQLSTATEs of an unknown schema, table, column, object, function, and of an index that ON CONFLICT needs."""
_VERSIONS: Final = Path(__file__).parents[1] / "migrations" / "versions"
_DOWN: Final = re.compile(r"^down_revision = \"(\w+)\"", re.MULTILINE)


def schema_error(error: DBAPIError, engine: Engine, schema: str) -> str | None:
    """One line that says what to do about a schema or a role that this version cannot use; None for another error."""
    code, line = failures.code(error), failures.line(error)
    if code in UNKNOWN and _is_closed(engine, schema):
        code, line = NO_RIGHT, f"permission denied for schema {schema}"
    if code in UNKNOWN:
        return f"the database schema is missing or older than this version, {MIGRATE}: {line}"
    if code == NO_RIGHT:
        return (
            f'{line}: give the role in DATABASE_URL what it lacks, GRANT USAGE ON SCHEMA "{schema}", '
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" and '
            f'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "{schema}"'
        )
    return None


def _is_closed(engine: Engine, schema: str) -> bool:
    """Whether the role may not use the schema; PostgreSQL then reports its tables as unknown."""
    usable = text("SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = :schema")
    try:
        with engine.connect() as connection:
            return connection.execute(usable, {"schema": schema}).scalar() is False
    except SQLAlchemyError:
        return False


@cache
def older_revisions() -> frozenset[str]:
    """All revisions of the schema that this version knows, except the newest."""
    return frozenset(down for path in _VERSIONS.glob("*.py") for down in _DOWN.findall(path.read_text()))
