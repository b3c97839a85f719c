"""Queues: what waits in them, and the low-water rank below which nothing lies that may be claimed.

Claims start at `low_rank`, so the dead index entries of jobs taken long ago cost them nothing, even while a long
snapshot keeps vacuum from removing those entries, and neither do expired jobs at the head. Three rules keep ready jobs
from lying below it:

1. the keeper locks the queue's row before it looks, and never raises the mark above the oldest job that may start;
2. nor above now() - MARGIN, so that an intake that has not committed yet (its rank is its now()) is above it;
3. whoever makes a job ready with an older rank (priority, a hand-back) lowers the mark in the same transaction.

Should a job lie below all the same, the next look, which does not trust the mark, finds it and lowers the mark.

A queue comes to be with its first job. It is forgotten after a time without a job, a limit, a pause or a worker.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from jobcore.store.claims import CLAIMABLE, CLAIMS_OF, OF_TYPE, READY_SINCE, STOPPING
from jobcore.store.database import DURABLE
from jobcore.store.jobs import INTAKES
from jobcore.store.limits import BLOCKED
from jobcore.store.prepared import ORDERED
from jobcore.store.promotion import WAITS

MARGIN: Final = "interval '30 s'"
IDLE: Final = "interval '1 hour'"
"""A queue that nobody used for so long is forgotten."""

NAMES: Final = text("SELECT name FROM queues WHERE name > :after ORDER BY name LIMIT :limit")


def names(connection: Connection, after: str = "", limit: int = 500) -> list[str]:
    """The names of queues in order, the first `limit` after this one."""
    return list(connection.execute(NAMES, {"after": after, "limit": limit}).scalars())


BUSY: Final = text("""
SELECT queue FROM jobs WHERE status = 'RUNNING'
UNION SELECT unnest(queues) FROM workers WHERE state = 'active' ORDER BY queue
""")


def busy(connection: Connection) -> list[str]:
    """The queues from which workers claim, and those in which jobs run."""
    return list(connection.execute(BUSY).scalars())


REFRESH: Final = text(
    DURABLE
    + ORDERED
    + f"""
SELECT FROM queues WHERE name = ANY(:names) ORDER BY name FOR NO KEY UPDATE;
UPDATE queues SET low_rank = least(now() - {MARGIN}, coalesce((
    SELECT rank FROM jobs WHERE queue = queues.name AND status = 'PENDING' AND ready AND {CLAIMABLE}
    ORDER BY rank, id LIMIT 1
), 'infinity')) WHERE name = ANY(:names)
"""
)


def refresh_low_ranks(connection: Connection, names: Collection[str]) -> None:
    """Move the low-water rank of these queues to their oldest job that may be claimed."""
    connection.execute(REFRESH, {"names": list(names)})


FLEET: Final = """
fleet AS MATERIALIZED (
    SELECT queue AS name, count(*) AS workers, sum(concurrency) AS children, sum(busy) AS busy
    FROM (
        SELECT queues, concurrency, (
            SELECT count(DISTINCT slot) FROM jobs WHERE jobs.worker_id = workers.id AND jobs.status = 'RUNNING'
        ) AS busy
        FROM workers WHERE state = 'active'
    ) AS active CROSS JOIN LATERAL unnest(queues) AS queue
    GROUP BY queue
)
"""
"""The active workers of each queue that has any, and how many of their children run something."""

OCCUPIED: Final = f"""
occupied AS MATERIALIZED (
    SELECT queue, count(*) AS taken, count(*) FILTER (WHERE running) AS running FROM (
        SELECT queue, true AS running FROM jobs WHERE status = 'RUNNING'
        UNION ALL SELECT queue, false FROM {STOPPING} AS stopping
    ) AS begun GROUP BY queue
)
"""
"""How many jobs of each queue run, and how many permits are taken, also by those that were cancelled and still stop."""

PERMITS: Final = """
CASE WHEN max_running IS NOT NULL
     THEN greatest(0, max_running - coalesce((SELECT taken FROM occupied WHERE queue = name), 0)) END
"""
"""How many more jobs of a row of `queues` may start now, where there is `OCCUPIED`; null without a limit."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a queue with workers needs: `ready` jobs (counted up to the limit) and `idle` children that could take them.

    `oldest_s` is how many seconds the first of them has been ready.
    """

    queue: str
    ready: int
    oldest_s: float
    idle: int


READY: Final = "status = 'PENDING' AND ready"
IN_ORDER: Final = f"{READY} AND rank >= low_rank ORDER BY rank, id"
"""What of a queue may be claimed, first to last, where a row of `queues` is at hand."""

_FIRST: Final = f"""
SELECT id, rank, {READY_SINCE} AS ready_since FROM jobs
WHERE {{of}} AND rank >= low_rank ORDER BY rank, id LIMIT :limit
"""

# A job that no worker of its queue knows wakes nobody, and however many there are, none of them is read.
DEMAND: Final = text(f"""{ORDERED}
WITH {FLEET}, {OCCUPIED}, served AS MATERIALIZED (
    SELECT name, low_rank, children - busy AS idle, {PERMITS} AS permits FROM queues JOIN fleet USING (name)
    WHERE NOT paused
), known AS MATERIALIZED (
    -- a worker of the version before says no types, and takes any
    SELECT DISTINCT queue AS name, task_type
    FROM workers CROSS JOIN LATERAL unnest(queues) AS queue
    CROSS JOIN LATERAL unnest(coalesce(task_types, CAST(ARRAY[NULL] AS text[]))) AS task_type
    WHERE state = 'active'
)
SELECT name, head.ready, head.oldest_s, greatest(0, idle)
FROM served CROSS JOIN LATERAL (
    SELECT count(*) AS ready, coalesce(extract(epoch FROM now() - min(ready_since)), 0) AS oldest_s
    FROM (
        SELECT DISTINCT rank, id, ready_since FROM known CROSS JOIN LATERAL (
            ({_FIRST.format(of=OF_TYPE.format(queue="known.name", task_type="known.task_type"))})
            UNION ALL ({_FIRST.format(of=f"known.task_type IS NULL AND queue = known.name AND {READY}")})
        ) AS one WHERE known.name = served.name
        ORDER BY rank, id LIMIT least(:limit, permits)
    ) AS first
) AS head
WHERE head.ready > 0 ORDER BY name
""")


def demand(connection: Connection, limit: int = 256) -> list[Demand]:
    """The queues that have workers, and jobs that may start now and are of a type that one of these workers knows."""
    rows: Sequence[tuple[str, int, float, int]] = [tuple(row) for row in connection.execute(DEMAND, {"limit": limit})]
    return [Demand(queue, ready, float(oldest_s), int(idle)) for queue, ready, oldest_s, idle in rows]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as operators see it; counts stop at the limit they were asked with.

    `ready` may be claimed now, `blocked` wait for a permit of their key or of the queue, `waiting` for their time;
    `oldest_s` is how many seconds the first ready job has been ready. `children` could run something.
    """

    name: str
    paused: bool
    max_running: int | None
    ready: int
    oldest_s: float | None
    blocked: int
    waiting: int
    running: int
    workers: int
    children: int


HEAD: Final = 50
"""The one that has been ready for the longest is looked for among so many that come first in a queue."""

LOOK: Final = f"""{ORDERED}
WITH {OCCUPIED}, chosen AS MATERIALIZED (
    {{chosen}}
), counted AS MATERIALIZED (
    -- each is counted in an index alone
    SELECT *, {PERMITS} AS permits,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT :limit) AS seen) AS due,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {BLOCKED}
                               LIMIT :limit) AS seen) AS at_key,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {WAITS} LIMIT :limit) AS seen) AS waiting
    FROM chosen
), {FLEET}
SELECT name, paused, max_running, least(due, permits), head.oldest_s,
       least(:limit, at_key + due - least(due, permits)), waiting, coalesce(running, 0),
       coalesce(fleet.workers, 0), coalesce(fleet.children, 0)
FROM counted CROSS JOIN LATERAL (
    SELECT CAST(extract(epoch FROM now() - min(ready_since)) AS double precision) AS oldest_s
    FROM (SELECT {READY_SINCE} AS ready_since FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT {HEAD}) AS first
) AS head LEFT JOIN occupied ON occupied.queue = name LEFT JOIN fleet USING (name)
ORDER BY name
"""
PAGE: Final = text(LOOK.format(chosen="SELECT * FROM queues WHERE name > :after ORDER BY name LIMIT :size"))
FIND: Final = text(LOOK.format(chosen="SELECT * FROM queues WHERE name = :name"))


def page(connection: Connection, after: str = "", size: int = 100, limit: int = 1_000) -> list[Queue]:
    """Queues by name, the first `size` after this one."""
    return [Queue(*row) for row in connection.execute(PAGE, {"after": after, "size": size, "limit": limit})]


def find(connection: Connection, name: str, limit: int = 10_000) -> Queue | None:
    """The queue of that name; None if nobody uses it."""
    row = connection.execute(FIND, {"name": name, "limit": limit}).first()
    return Queue(*row) if row else None


SET: Final = text(
    DURABLE
    + f"""
SET LOCAL lock_timeout = '3s';
-- waits for the claims under way
SELECT pg_advisory_xact_lock({CLAIMS_OF}) FROM (SELECT CAST(:name AS text) AS name) AS queue;
INSERT INTO queues (name, paused, max_running) VALUES (:name, coalesce(:paused, false), :max_running)
ON CONFLICT (name) DO UPDATE SET paused = coalesce(:paused, queues.paused),
    max_running = CASE WHEN :set_max THEN :max_running ELSE queues.max_running END
"""
)


def change(connection: Connection, name: str, *, paused: bool | None, set_max: bool, max_running: int | None) -> None:
    """Pause or resume a queue, and with `set_max` limit it to so many jobs at once (None: no limit).

    Every claim that comes after it obeys.
    """
    connection.execute(SET, {"name": name, "paused": paused, "set_max": set_max, "max_running": max_running})


UNUSED: Final = f"""(
    NOT paused AND max_running IS NULL
    AND (SELECT 1 FROM jobs WHERE queue = name AND {READY} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE queue = name AND {WAITS} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE queue = name AND {BLOCKED} LIMIT 1) IS NULL
    AND name NOT IN (SELECT queue FROM occupied)
    AND (SELECT 1 FROM workers WHERE name = ANY(queues) AND state IN ('active', 'draining') LIMIT 1) IS NULL
)"""
"""Whether a row of `queues` serves nobody, where there is `OCCUPIED`: the next job makes it anew."""

SEE_IDLE: Final = text(
    DURABLE
    + ORDERED
    + f"""
WITH {OCCUPIED}, seen AS MATERIALIZED (
    SELECT name, {UNUSED} AS unused FROM queues WHERE name = ANY(:names)
), changed AS (
    UPDATE queues SET idle_since = CASE WHEN unused THEN now() END
    FROM seen WHERE queues.name = seen.name AND unused = (idle_since IS NULL)
)
SELECT name FROM queues WHERE name = ANY(:names) AND idle_since < now() - {IDLE}
"""
)

# The lock waits for every intake that may have seen one of these queues and has not committed, and keeps others from
# beginning: the statement that follows sees all their jobs, and whoever comes after it makes the queue anew.
FORGET: Final = text(
    DURABLE
    + ORDERED
    + f"""
SET LOCAL lock_timeout = '100ms';
SELECT pg_advisory_xact_lock({INTAKES});
WITH {OCCUPIED}
DELETE FROM queues WHERE name = ANY(:names) AND idle_since < now() - {IDLE} AND {UNUSED}
"""
)


def forget(connection: Connection, names: Collection[str]) -> int:
    """Forget those of these queues that have been idle for long; returns how many.

    Raises what a lock timeout raises (SQLSTATE 55P03) when an intake takes long: try again later.
    """
    long_idle = list(connection.execute(SEE_IDLE, {"names": list(names)}).scalars())
    return connection.execute(FORGET, {"names": long_idle}).rowcount if long_idle else 0
