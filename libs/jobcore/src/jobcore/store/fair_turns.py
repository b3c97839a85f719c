"""The turns of fairness keys: the rank that the next job of a key gets, one row a key.

Accepting a job writes them (store/jobs.py). A turn that lies in the past says nothing: the next job of its key begins
at now() with the row or without it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

FORGET: Final = text("""
WITH old AS MATERIALIZED (
    -- a minute: an intake that has not committed yet has an older now()
    SELECT queue, key FROM fair_turns WHERE next_rank < now() - interval '1 minute'
    LIMIT :limit FOR UPDATE SKIP LOCKED
)
DELETE FROM fair_turns USING old WHERE fair_turns.queue = old.queue AND fair_turns.key = old.key
""")


def forget(connection: Connection, limit: int = 5000) -> int:
    """Delete up to `limit` turns that lie in the past; returns how many."""
    return connection.execute(FORGET, {"limit": limit}).rowcount
