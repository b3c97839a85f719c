"""What an error of PostgreSQL means: is the server away, or is the statement wrong; and what may be said of it.

A client is told what happened and, where an operator can mend it, how. What PostgreSQL itself said names hosts, users
and databases: it is for logs.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from jobcore.errors import StoreUnavailable

AWAY: Final = "PostgreSQL is not available"
EXHAUSTED: Final = (
    "PostgreSQL has no connection left: raise its max_connections (or the pooler's limit), "
    "or lower LONGRUN_DATABASE_POOL_SIZE and the number of worker children"
)
READ_ONLY: Final = (
    "PostgreSQL is read-only: DATABASE_URL must name the primary, "
    "and default_transaction_read_only must be off for the role, the database and the server"
)

_CONFLICTS: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_DETAILS: Final = {
    "25006": READ_ONLY,
    "53100": "PostgreSQL's disk is full",
    "53200": "PostgreSQL has no memory left",
    "53300": EXHAUSTED,
    "55P03": "PostgreSQL waited too long for a lock",
    "57014": "PostgreSQL did not finish in time",
    "57P01": AWAY,
    "57P02": AWAY,
    "57P03": AWAY,
}
# a connection that was refused has no SQLSTATE, only the text of PostgreSQL or of PgBouncer
_EXHAUSTED_TEXTS: Final = (
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "no more connections allowed",
)


def is_conflict(error: DBAPIError) -> bool:
    """Whether the same may succeed when it is tried again at once."""
    return code(error) in _CONFLICTS


def is_away(error: DBAPIError) -> bool:
    """Whether the server is at fault, for now, and not the statement."""
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    return isinstance(error, OperationalError) or code(error) in _DETAILS


def is_read_only(error: DBAPIError) -> bool:
    """Whether the session may not write: the server is a standby, or a setting says so."""
    return code(error) == "25006"


def is_too_large(error: DBAPIError) -> bool:
    """Whether a value is beyond a limit of PostgreSQL's own (SQLSTATE class 54): it would be so again."""
    return (code(error) or "").startswith("54")


def unavailable(error: DBAPIError) -> StoreUnavailable:
    """The error that callers get for a server that is away."""
    reason = line(error)
    if any(text in reason for text in _EXHAUSTED_TEXTS):
        return StoreUnavailable(EXHAUSTED, reason=f"{EXHAUSTED}: {reason}")
    return StoreUnavailable(_DETAILS.get(code(error) or "", AWAY), reason=reason)


def code(error: DBAPIError) -> str | None:
    """The SQLSTATE, if PostgreSQL gave one."""
    return getattr(error.orig, "pgcode", None)


def line(error: DBAPIError) -> str:
    """The first line of what PostgreSQL said."""
    return str(error.orig).strip().split("\n")[0]
