"""The turns of fairness keys: the rank that the next job of a key gets, one row a key.

Accepting a job writes them (store/jobs.py); for a job of an application's own transaction, promotion does. A turn that
lies in the past says nothing: the next job of its key begins at now() with the row or without it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

TURN: Final = "interval '1 s'"
"""How far behind the job before it the next job of a fairness key ranks."""
HORIZON: Final = "interval '600 s'"
"""How far behind now() a turn may rank at most: ten levels of priority."""


def turns(due: str) -> str:
    """SQL: the CTE `turn`, with a rank `at` for each job of `due` that has a fairness key.

    `due` is what follows FROM: jobs that are due now, with the columns `id`, `queue` and `fairness_key`.
    """
    # The turns of a key come from the row that the upsert returns and keeps locked until the commit. What the statement
    # reads of the table may be older, and two intakes at once would give out the same turns.
    # A turn moves a rank back only, never before now(), so the rules of store/low_ranks.py hold.
    return f"""
line AS MATERIALIZED (
    SELECT id, queue, fairness_key AS key,
           row_number() OVER (PARTITION BY queue, fairness_key ORDER BY id) - 1 AS number
    FROM (SELECT id, queue, fairness_key FROM {due}) AS due WHERE fairness_key IS NOT NULL
), taken AS (
    -- in one order, so that two intakes never deadlock
    INSERT INTO fair_turns AS turns (queue, key, first_rank, next_rank)
    SELECT queue, key, now(), now() + least(count(*) * {TURN}, {HORIZON})
    FROM line GROUP BY queue, key ORDER BY queue, key
    ON CONFLICT (queue, key) DO UPDATE SET
        first_rank = greatest(turns.next_rank, now()),
        next_rank = least(greatest(turns.next_rank, now()) + (excluded.next_rank - now()), now() + {HORIZON})
    RETURNING queue, key, first_rank
), turn AS (
    SELECT id, least(first_rank + number * {TURN}, now() + {HORIZON}) AS at FROM line JOIN taken USING (queue, key)
)"""


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
