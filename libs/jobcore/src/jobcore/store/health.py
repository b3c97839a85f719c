"""Whether PostgreSQL would keep what it is given now."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from jobcore.errors import StoreUnavailable
from jobcore.store.database import DURABLE
from jobcore.store.misfits import OLDER, older_revisions

# A transactional message writes to the WAL and gives the transaction an id, so its commit is flushed like any other,
# and it leaves no row behind for vacuum. A standby and a read-only database are not asked to write.
COMMIT: Final = text(
    DURABLE
    + """
SELECT pg_logical_emit_message(true, 'longrun', 'ready'), (SELECT count(*) FROM (SELECT FROM jobs LIMIT 0) AS none),
       (SELECT version_num FROM alembic_version) AS revision, current_setting('server_encoding') AS encoding
WHERE current_setting('transaction_read_only') = 'off'
"""
)


def commit(connection: Connection) -> None:
    """Commit a tiny transaction durably; StoreUnavailable says why that cannot be done."""
    row = connection.execute(COMMIT).first()
    if row is None:
        raise StoreUnavailable("PostgreSQL is read-only: DATABASE_URL must name the primary")
    if row.revision in older_revisions():
        raise StoreUnavailable(OLDER)
    if row.encoding != "UTF8":
        raise StoreUnavailable(f"the database stores text as {row.encoding}: it must be made with ENCODING 'UTF8'")
