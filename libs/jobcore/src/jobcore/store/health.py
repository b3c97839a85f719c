"""Whether PostgreSQL accepts and keeps writes now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, NewJob
from jobcore.store import failures, jobs
from jobcore.store.database import RowRefused
from jobcore.store.schema_errors import OLDER, older_revisions
from jobcore.store.transactions import DURABLE, transaction

REHEARSED_BYTES: Final = 16_384

# A transactional message writes to the WAL and gives the transaction an id, so its commit is flushed like any other. It
# leaves no row for vacuum. The condition keeps a standby and a read-only database from failing with an error.
COMMIT: Final = text(
    DURABLE
    + """
SELECT pg_logical_emit_message(true, 'longrun', 'ready'), (SELECT count(*) FROM (SELECT FROM jobs LIMIT 0) AS none),
       (SELECT version_num FROM alembic_version) AS revision, current_setting('server_encoding') AS encoding
WHERE current_setting('transaction_read_only') = 'off'
"""
)


def commit(connection: Connection) -> None:
    """Commit a small transaction durably. Raises StoreUnavailable, which says why that is not possible."""
    row = connection.execute(COMMIT).first()
    if row is None:
        raise StoreUnavailable(failures.READ_ONLY)
    if row.revision in older_revisions():
        raise StoreUnavailable(OLDER)
    if row.encoding != "UTF8":
        raise StoreUnavailable(f"the database stores text as {row.encoding}: it must be made with ENCODING 'UTF8'")


def committed(connection: Connection, ids: Sequence[UUID]) -> list[Accepted]:
    """Those of these jobs that are committed as durably as an accepted job must be.

    A backend that was ended while it waited for a synchronous standby has committed locally only, and others see what
    it committed. A later commit that the standby confirms also confirms everything before it in the WAL.
    """
    found = jobs.find(connection, ids)
    if found:
        commit(connection)
    return found


def rehearse(connection: Connection) -> None:
    """Accept a job, roll that back, and commit durably. Raises StoreUnavailable, which says what failed.

    This tests what a small commit does not need: space for rows, rights, and every table and column.
    """
    filling = os.urandom(REHEARSED_BYTES // 2).hex()
    job = NewJob(uuid7(), "longrun.rehearsal", "default", {"filling": filling}, max_attempts=1)
    try:
        with transaction(connection):
            jobs.insert_inside(connection, [job])
            raise _Rehearsed
    except _Rehearsed:
        commit(connection)
    except RowRefused as refused:
        raise StoreUnavailable("the schema does not fit this version", reason=str(refused)) from refused


class _Rehearsed(Exception):
    """Rolls the rehearsal back."""
