"""Queues: what is in them, and pausing or limiting one.

A queue comes into being with its first job. It is forgotten when it has had no job, no limit, no pause and no worker
for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NotRequired, TypedDict, Unpack

from sqlalchemy import Connection, text

from jobcore.models import by_lane
from jobcore.states import Lane
from jobcore.store.jobs import INTAKES
from jobcore.store.limits import BLOCKED
from jobcore.store.prepared import ORDERED
from jobcore.store.promotion import WAITS
from jobcore.store.queue_limits import LOCK_FOR_CHANGE, OCCUPIED, PERMITS
from jobcore.store.ready_jobs import IN_ORDER, READY, READY_SINCE
from jobcore.store.room import FLEET
from jobcore.store.rows import Rows
from jobcore.store.served import KNOWN, UNSERVED
from jobcore.store.starts import next_start, of_queue, started
from jobcore.store.transactions import DURABLE

IDLE: Final = "interval '1 hour'"
"""For how long a queue must be unused before it is forgotten."""

NAMES: Final = text("SELECT name FROM queues WHERE name > :after ORDER BY name LIMIT :limit")


def names(connection: Connection, after: str = "", limit: int = 500) -> list[str]:
    """The first `limit` names of queues after `after`, in order."""
    return list(connection.execute(NAMES, {"after": after, "limit": limit}).scalars())


BUSY: Final = text("""
SELECT queue FROM jobs WHERE status = 'RUNNING'
UNION SELECT unnest(queues) FROM workers WHERE state = 'active' ORDER BY queue
""")


def busy(connection: Connection) -> list[str]:
    """The queues from which workers claim, and those whose jobs run."""
    return list(connection.execute(BUSY).scalars())


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as operators see it; counts stop at the limit of the query.

    At most `max_starts` jobs start within any `window_s` seconds: `started` did within the last ones, and the next one
    may at `next_start_at` if they are as many. `ready` jobs may be claimed now, `blocked` jobs have no permit of a key
    or of the queue, and `waiting` jobs wait for their time. `unserved` jobs are due, and no active worker can run them:
    none serves the queue, or none knows their task type. `oldest_s` is for how many seconds the first ready job has
    been ready. `workers` and `children` are those that serve the queue; `room` is how many more jobs of each lane these
    could start now.
    """

    name: str
    paused: bool
    max_running: int | None
    max_starts: int | None
    window_s: float | None
    started: int
    next_start_at: datetime | None
    ready: int
    oldest_s: float | None
    blocked: int
    waiting: int
    unserved: int
    running: int
    workers: int
    children: int
    room: Mapping[Lane, int]


_QUEUES: Final = Rows(Queue, room=by_lane)
HEAD: Final = 50
"""The job that has been ready for the longest is looked for among so many jobs at the head of a queue."""

SHOW: Final = f"""{ORDERED}
WITH {OCCUPIED}, {KNOWN}, chosen AS MATERIALIZED (
    {{chosen}}
), counted AS MATERIALIZED (
    -- each count reads an index only
    SELECT *, {PERMITS} AS permits, CASE WHEN max_starts IS NULL THEN 0 ELSE {started(of_queue("name"))} END AS started,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT :limit) AS seen) AS due,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {BLOCKED}
                               LIMIT :limit) AS seen) AS at_key,
        (SELECT count(*) FROM (SELECT FROM jobs WHERE queue = name AND {WAITS} LIMIT :limit) AS seen) AS waiting,
        {UNSERVED} AS unserved
    FROM chosen
), {FLEET}
SELECT name, paused, max_running, max_starts, window_s, started,
       CASE WHEN started >= max_starts THEN {next_start(of_queue("name"), taken="started")} END AS next_start_at,
       least(due, permits) AS ready, head.oldest_s,
       least(:limit, at_key + due - least(due, permits)) AS blocked, waiting, unserved,
       coalesce(running, 0) AS running,
       coalesce(fleet.workers, 0) AS workers, coalesce(fleet.children, 0) AS children,
       coalesce(fleet.room, ARRAY[0, 0, 0]) AS room
FROM counted CROSS JOIN LATERAL (
    SELECT CAST(extract(epoch FROM now() - min(ready_since)) AS double precision) AS oldest_s
    FROM (SELECT {READY_SINCE} AS ready_since FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT {HEAD}) AS first
) AS head LEFT JOIN occupied ON occupied.queue = name LEFT JOIN fleet USING (name)
ORDER BY name
"""
PAGE: Final = text(SHOW.format(chosen="SELECT * FROM queues WHERE name > :after ORDER BY name LIMIT :size"))
FIND: Final = text(SHOW.format(chosen="SELECT * FROM queues WHERE name = :name"))


def page(connection: Connection, after: str = "", size: int = 100, limit: int = 1_000) -> list[Queue]:
    """The first `size` queues after the name `after`, in order; each count stops at `limit`."""
    return _QUEUES.read(connection.execute(PAGE, {"after": after, "size": size, "limit": limit}))


def find(connection: Connection, name: str, limit: int = 10_000) -> Queue | None:
    """The queue of that name; None if there is none. Each count stops at `limit`."""
    found = _QUEUES.read(connection.execute(FIND, {"name": name, "limit": limit}))
    return found[0] if found else None


CHANGES: Final = """
paused = coalesce(:paused, queues.paused),
paused_at = CASE WHEN coalesce(:paused, queues.paused) THEN
    CASE WHEN queues.paused THEN queues.paused_at ELSE now() END END,
max_running = CASE WHEN :set_max THEN :max_running ELSE queues.max_running END,
max_starts = CASE WHEN :set_rate THEN :max_starts ELSE queues.max_starts END,
window_s = CASE WHEN :set_rate THEN :window_s ELSE queues.window_s END
"""
LOCKED: Final = f"{DURABLE}SET LOCAL lock_timeout = '3s';{LOCK_FOR_CHANGE}"

SET: Final = text(f"""{LOCKED}
INSERT INTO queues (name, paused, paused_at, max_running, max_starts, window_s)
VALUES (:name, coalesce(:paused, false), CASE WHEN :paused THEN now() END, :max_running, :max_starts, :window_s)
ON CONFLICT (name) DO UPDATE SET {CHANGES}
""")


class Settings(TypedDict):
    """What to change in a queue: `paused` (None: nothing), its limit with `set_max`, its rate limit with `set_rate`.

    None is for no limit.
    """

    paused: bool | None
    set_max: bool
    max_running: int | None
    set_rate: NotRequired[bool]
    max_starts: NotRequired[int | None]
    window_s: NotRequired[float | None]


SAME_RATE: Final = {"set_rate": False, "max_starts": None, "window_s": None}


def change(connection: Connection, name: str, **settings: Unpack[Settings]) -> None:
    """Pause, resume or limit a queue. Every later claim obeys."""
    connection.execute(SET, {**SAME_RATE, **settings, "name": name})


SET_IF: Final = text(f"""{LOCKED}
UPDATE queues SET {CHANGES}
WHERE name = :name AND paused = :was_paused AND max_running IS NOT DISTINCT FROM CAST(:was_max AS integer)
  AND max_starts IS NOT DISTINCT FROM CAST(:was_starts AS integer)
  AND window_s IS NOT DISTINCT FROM CAST(:was_window_s AS double precision)
""")


def change_if(connection: Connection, was: Queue, **settings: Unpack[Settings]) -> bool:
    """`change` a queue unless it has been changed since it was as `was`; returns whether it did."""
    expected = {"was_paused": was.paused, "was_max": was.max_running}
    expected_rate = {"was_starts": was.max_starts, "was_window_s": was.window_s}
    given = {**SAME_RATE, **settings, **expected, **expected_rate, "name": was.name}
    return connection.execute(SET_IF, given).rowcount > 0


EMPTY: Final = f"""(
    (SELECT 1 FROM jobs WHERE queue = name AND {READY} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE queue = name AND {WAITS} LIMIT 1) IS NULL
    AND (SELECT 1 FROM jobs WHERE queue = name AND {BLOCKED} LIMIT 1) IS NULL
    AND name NOT IN (SELECT queue FROM occupied)
)"""
"""Whether a row of `queues` has no job that has not ended; needs `OCCUPIED`."""

UNUSED: Final = f"""(
    NOT paused AND coalesce(max_running, max_starts) IS NULL AND {EMPTY}
    AND (SELECT 1 FROM workers WHERE name = ANY(queues) AND state IN ('active', 'draining') LIMIT 1) IS NULL
)"""
"""Whether nobody uses a row of `queues`; needs `OCCUPIED`. The next job of the queue creates the row again."""

NOTE_IDLE: Final = text(
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
"""Notes since when these queues are unused, and returns those that have been unused for long."""

# The lock waits for every intake that may have seen one of these queues and has not committed, and lets no other begin.
# So the DELETE sees all their jobs, and later intakes create the queue again.
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
    """Delete those of these queues that have been unused for long; returns how many.

    Fails with a lock timeout (SQLSTATE 55P03) if an intake takes longer than 100 ms; call it again later.
    """
    long_idle = list(connection.execute(NOTE_IDLE, {"names": list(names)}).scalars())
    return connection.execute(FORGET, {"names": long_idle}).rowcount if long_idle else 0
