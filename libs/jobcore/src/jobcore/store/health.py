"""Whether PostgreSQL would keep what it is given now."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from jobcore.errors import StoreUnavailable
from jobcore.store.database import DURABLE

# A transactional message writes to the WAL and gives the transaction an id, so its commit is flushed like any other,
# and it leaves no row behind for vacuum. A standby and a read-only database are not asked to write.
COMMIT: Final = text(
    DURABLE
    + """
SELECT pg_logical_emit_message(true, 'longrun', 'ready'), (SELECT count(*) FROM (SELECT FROM jobs LIMIT 0) AS none)
WHERE current_setting('transaction_read_only') = 'off'
"""
)


def commit(connection: Connection) -> None:
    """Commit a tiny transaction durably; StoreUnavailable says why that cannot be done."""
    try:
        row = connection.execute(COMMIT).first()
    except ProgrammingError as error:
        reason = str(error.orig).split("\n", maxsplit=1)[0]
        raise StoreUnavailable(f"the schema is missing, run `python -m jobcore.migrations`: {reason}") from error
    if row is None:
        raise StoreUnavailable("PostgreSQL is read-only: DATABASE_URL must name the primary")
