"""The low-water rank of each queue: no job below it can be claimed, so claims start there.

Jobs that were claimed long ago leave dead index entries, which vacuum cannot remove while an old snapshot lives, and
expired jobs may be first in a queue. Claims read neither of them. Three rules keep ready jobs from being below the
low-water rank:

1. The keeper locks the row of the queue before it looks, and never raises the rank above the first job that may start.
2. It never raises the rank above now() - MARGIN. An intake that has not committed yet ranks its jobs by its own now().
3. Whoever makes a job ready with an older rank (a priority, a hand-back) lowers the rank in the same transaction.

If a job is below it all the same, the next refresh, which does not rely on the low-water rank, finds it and lowers the
rank.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.ready_jobs import CLAIMABLE, READY
from jobcore.store.transactions import DURABLE

MARGIN: Final = "interval '30 s'"

LOWER: Final = """
lowered AS (
    UPDATE queues SET low_rank = least(low_rank, (SELECT min(rank) FROM changed WHERE ready AND queue = name))
    WHERE name = ANY(ARRAY(SELECT DISTINCT queue FROM changed WHERE ready))
)
"""
"""A CTE for rule 3: lowers the low-water rank to the jobs that a statement made ready.

The statement has a CTE named `changed` before it, with the columns `queue`, `ready` and `rank` of the changed jobs."""

REFRESH: Final = text(
    DURABLE
    + ORDERED
    + f"""
SELECT FROM queues WHERE name = ANY(:names) ORDER BY name FOR NO KEY UPDATE;
UPDATE queues SET low_rank = least(now() - {MARGIN}, coalesce((
    SELECT rank FROM jobs WHERE queue = queues.name AND {READY} AND {CLAIMABLE}
    ORDER BY rank, id LIMIT 1
), 'infinity')) WHERE name = ANY(:names)
"""
)


def refresh(connection: Connection, names: Collection[str]) -> None:
    """Move the low-water rank of these queues to their first job that may be claimed."""
    connection.execute(REFRESH, {"names": list(names)})
