"""Why a database cannot be migrated, in one line that says what to do."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError

from jobcore.errors import LongrunError
from jobcore.store import failures

NO_RIGHT: Final = "42501"
"""SQLSTATE insufficient_privilege."""
READ_ONLY: Final = "25006"
"""SQLSTATE read_only_sql_transaction."""
TIMED_OUT: Final = "57014"
"""SQLSTATE query_canceled."""


class Refused(LongrunError):
    """The database cannot be migrated; the message says what to change."""


def code(error: DBAPIError) -> str | None:
    """The SQLSTATE of an error; None if the server gave none."""
    return getattr(error.orig, "pgcode", None)


def line(error: DBAPIError) -> str:
    """The first line of the server's message, without the statement."""
    return str(error.orig).strip().split("\n")[0]


def explained(error: DBAPIError, role: str | None, schema: str) -> str:
    """One line that says what stopped a migration, and what to do about it."""
    if code(error) == NO_RIGHT:
        return (
            f'{line(error)}: the role "{role}" must own the schema "{schema}" and its tables '
            f'(as an administrator: ALTER SCHEMA "{schema}" OWNER TO "{role}", and ALTER TABLE … OWNER TO "{role}")'
        )
    if code(error) == READ_ONLY:
        return f"{line(error)}: {failures.READ_ONLY}"
    if code(error) == TIMED_OUT:
        return (
            f"{line(error)}: an index takes longer to build than statement_timeout allows, which a connection pooler "
            f'keeps in force: connect to PostgreSQL itself, or lift it (ALTER ROLE "{role}" SET statement_timeout = 0)'
        )
    return line(error)
