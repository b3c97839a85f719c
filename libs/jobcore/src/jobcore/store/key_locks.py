"""Transaction locks of the keys by which limits count: whoever changes who has the permits of a key holds its lock."""

from __future__ import annotations

from typing import Final

from jobcore.store.transactions import DURABLE

MAX_KEYS: Final = 200
"""The most keys that one transaction locks: the locks are among the few that all of PostgreSQL shares."""
BATCH: Final = 5000
"""About how many jobs one transaction unblocks at most."""


def lock(kind: str) -> str:
    """SQL: locks the keys `:names` of this kind until the end of the transaction.

    The next statement of the same string sees all that was committed before the locks were taken.
    """
    return f"""{DURABLE}
-- in one order, so that two never deadlock
SELECT pg_advisory_xact_lock(lock) FROM (
    SELECT DISTINCT hashtextextended('{kind}:' || name, 0) AS lock FROM unnest(CAST(:names AS text[])) AS name
    ORDER BY lock
) AS locks;
"""
