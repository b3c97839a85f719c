"""Errors of PostgreSQL: whether the server or the statement is at fault, and what clients may read about it.

A client reads what happened and, if an operator can fix it, how. The text of PostgreSQL itself names hosts, users and
databases, so it goes to logs only.
"""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from jobcore.errors import BytesExceeded, NamesExceeded, QuotaExceeded, StoreUnavailable

AWAY: Final = "PostgreSQL is not available"
EXHAUSTED: Final = (
    "PostgreSQL has no connection left: raise its max_connections (or the pooler's limit), "
    "or lower LONGRUN_DATABASE_POOL_SIZE and the number of worker children"
)
READ_ONLY: Final = (
    "PostgreSQL is read-only: DATABASE_URL must name the primary, "
    "and default_transaction_read_only must be off for the role, the database and the server"
)

LOCK_TIMEOUT: Final = "55P03"
OVER_QUOTA: Final = "LR429"
"""What a check of a quota raises."""
_CONFLICTS: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_DETAILS: Final = {
    "25006": READ_ONLY,
    "53100": "PostgreSQL's disk is full",
    "53200": "PostgreSQL has no memory left",
    "53300": EXHAUSTED,
    LOCK_TIMEOUT: "PostgreSQL waited too long for a lock",
    "57014": "PostgreSQL did not finish in time",
    "57P01": AWAY,
    "57P02": AWAY,
    "57P03": AWAY,
}
# a refused connection has no SQLSTATE, only a text of PostgreSQL or PgBouncer
_EXHAUSTED_TEXTS: Final = (
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "no more connections allowed",
)


def is_conflict(error: DBAPIError) -> bool:
    """Whether the same statement may succeed if it is sent again at once."""
    return code(error) in _CONFLICTS


def is_away(error: DBAPIError) -> bool:
    """Whether the server is unavailable for now, and the statement is not at fault."""
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return True
    return isinstance(error, OperationalError) or code(error) in _DETAILS


def is_read_only(error: DBAPIError) -> bool:
    """Whether the session may not write, because the server is a standby or a setting forbids it."""
    return code(error) == "25006"


def is_too_large(error: DBAPIError) -> bool:
    """Whether a value exceeds a limit of PostgreSQL (SQLSTATE class 54), so that a retry would fail too."""
    return (code(error) or "").startswith("54")


def unavailable(error: DBAPIError) -> StoreUnavailable:
    """The error that callers get while the server is unavailable."""
    reason = line(error)
    if any(text in reason for text in _EXHAUSTED_TEXTS):
        return StoreUnavailable(EXHAUSTED, reason=f"{EXHAUSTED}: {reason}")
    return StoreUnavailable(_DETAILS.get(code(error) or "", AWAY), reason=reason)


def code(error: DBAPIError) -> str | None:
    """The SQLSTATE; None if PostgreSQL gave none."""
    return getattr(error.orig, "pgcode", None)


def over_quota(error: DBAPIError) -> QuotaExceeded | None:
    """What a check of the database says about the quota that the transaction exceeded; None for another error."""
    if code(error) != OVER_QUOTA:
        return None
    detail = json.loads(error.orig.diag.message_detail)  # type: ignore[union-attr]
    if detail["quota"] == BytesExceeded.quota:
        return BytesExceeded(line(error), detail["owner"])
    kind = NamesExceeded if detail["quota"] == NamesExceeded.quota else QuotaExceeded
    return kind(line(error), detail["owner"], detail["used"] - detail["most"])


def constraint(error: DBAPIError) -> str | None:
    """The name of the constraint or unique index that refused the statement; None if none did."""
    return getattr(getattr(error.orig, "diag", None), "constraint_name", None)


def line(error: DBAPIError) -> str:
    """The first line of the message of PostgreSQL."""
    return str(error.orig).strip().split("\n")[0]
