"""What a rate limit means for one job: how much of the limit is used, and when the next start is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.prepared import ORDERED
from jobcore.store.rows import Rows
from jobcore.store.start_permits import BLOCKED, MOMENT, USE
from jobcore.store.starts import next_start, of_queue, started


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit that concerns a job: `taken` of its permits are used, and the next is free at `next_start_at`.

    `next_start_at` is None while a start is allowed.
    """

    max_starts: int
    window_s: float
    taken: int
    next_start_at: datetime | None

    @property
    def a_second(self) -> float:
        """How many jobs a second the limit lets start."""
        return self.max_starts / self.window_s


_RATES: Final = Rows(Rate)
OF_KEY: Final = text(f"""{ORDERED}
WITH {MOMENT} SELECT max_starts, window_s, taken, (SELECT now FROM moment) + make_interval(secs => next_in_s)
FROM ({USE.format(keys="(SELECT CAST(:key AS text) AS key) AS asked")}) AS used WHERE max_starts IS NOT NULL
""")
OF_QUEUE: Final = text(f"""{ORDERED}
SELECT max_starts, window_s, taken,
       CASE WHEN taken >= max_starts THEN {next_start(of_queue("name"), taken="taken")} END AS next_start_at
FROM (SELECT *, {started(of_queue("name"))} AS taken FROM queues WHERE name = :queue AND max_starts IS NOT NULL) AS used
""")


def of_key(connection: Connection, key: str) -> Rate | None:
    """The rate limit of a key; None if it has none."""
    return next(iter(_RATES.read(connection.execute(OF_KEY, {"key": key}))), None)


def of_queue_named(connection: Connection, name: str) -> Rate | None:
    """The rate limit of a queue; None if it has none."""
    return next(iter(_RATES.read(connection.execute(OF_QUEUE, {"queue": name}))), None)


BEFORE: Final = text(f"""{ORDERED}
WITH RECURSIVE lines AS (
    (SELECT queue FROM jobs WHERE rate_key = :key AND {BLOCKED} ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT next.queue FROM lines CROSS JOIN LATERAL (
        SELECT queue FROM jobs WHERE rate_key = :key AND {BLOCKED} AND queue > lines.queue ORDER BY queue LIMIT 1
    ) AS next
)
SELECT count(*) FROM (
    SELECT FROM lines CROSS JOIN LATERAL (
        SELECT FROM jobs WHERE rate_key = :key AND queue = lines.queue AND {BLOCKED}
          AND (rank, jobs.id) < (CAST(:rank AS timestamptz), CAST(:id AS uuid)) LIMIT :limit
    ) AS one LIMIT :limit
) AS before
""")
"""How many blocked jobs of a rate key are before another one."""
