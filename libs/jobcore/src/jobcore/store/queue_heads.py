"""How long the heads of queues have been ready, which is how long the next job of a queue will probably wait."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.ready_jobs import IN_ORDER, READY_SINCE

HEAD: Final = 10
"""The job that has been ready for the longest is looked for among so many at the head of a queue."""

AGES: Final = text(f"""{ORDERED}
SELECT name, paused, CAST(extract(epoch FROM now() - first.since) AS double precision) AS age_s
FROM queues CROSS JOIN LATERAL (
    SELECT min(ready_since) AS since
    FROM (SELECT {READY_SINCE} AS ready_since FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT {HEAD}) AS head
) AS first
WHERE name = ANY(:names) AND (paused OR first.since IS NOT NULL)
""")


def ages(connection: Connection, names: Collection[str]) -> dict[str, float]:
    """For how many seconds the head of each of these queues has been ready; infinite for a paused one.

    A queue without ready jobs has no entry.
    """
    rows = connection.execute(AGES, {"names": list(names)})
    return {row.name: math.inf if row.paused else row.age_s for row in rows}
