"""What a keeper sees at a glance: whether it leads, and whether there is anything for it to do.

On a quiet system, where every open job waits for its time, this is all that the keeper asks each second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store.limits import BLOCKED
from jobcore.store.prepared import ORDERED
from jobcore.store.promotion import LEVEL
from jobcore.store.queues import IN_ORDER
from jobcore.store.schedules import IS_DUE, SECONDS_TO_NEXT


@dataclass(frozen=True, slots=True)
class Glance:
    """`leads_s` is for how many seconds this keeper leads, 0 while another does; `tick_in_s` is how many seconds there
    are until a schedule is due, infinite if none is. `work` is True if a step of the keeper may find something to do.
    """

    leads_s: float
    tick_in_s: float
    work: bool


# The lease is renewed when half of it is over, and others do not touch it while it holds: both would write each second.
# Ready jobs are looked for above the low-water rank of their queue, so dead index entries of jobs taken long ago cost
# nothing, and only where somebody serves the queue: the keeper does nothing about the others.
GLANCE: Final = text(f"""{ORDERED}
WITH RECURSIVE {LEVEL}, taken AS (
    INSERT INTO keeper_lease AS lease (holder, expires_at)
    SELECT :me, now() + make_interval(secs => :ttl_s) WHERE NOT EXISTS (
        SELECT FROM keeper_lease
        WHERE only_one AND expires_at > now() + make_interval(secs => CASE WHEN holder = :me THEN :ttl_s / 2 ELSE 0 END)
    )
    ON CONFLICT (only_one) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE lease.holder = excluded.holder OR lease.expires_at < now()
    RETURNING expires_at
), served AS MATERIALIZED (
    SELECT DISTINCT unnest(queues) AS name FROM workers WHERE state = 'active'
)
SELECT CAST(extract(epoch FROM coalesce(
           (SELECT expires_at FROM taken), (SELECT expires_at FROM keeper_lease WHERE only_one AND holder = :me)
       ) - now()) AS double precision),
       ({SECONDS_TO_NEXT}),
       EXISTS (SELECT FROM jobs WHERE status = 'RUNNING')
       OR EXISTS (SELECT FROM jobs WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL)
       OR EXISTS (SELECT FROM jobs WHERE {BLOCKED})
       OR EXISTS (SELECT FROM schedules WHERE {IS_DUE})
       OR EXISTS (SELECT FROM level WHERE run_at <= now())
       OR EXISTS (
           SELECT FROM served JOIN queues USING (name) CROSS JOIN LATERAL (
               SELECT FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT 1
           ) AS first WHERE NOT paused
       )
""")


def look(connection: Connection, me: UUID, ttl_s: float) -> Glance:
    """Take or keep the keeper's lease of `ttl_s` seconds unless another holds it, and look around."""
    leads_s, tick_in_s, work = connection.execute(GLANCE, {"me": me, "ttl_s": ttl_s}).one()
    return Glance(max(0.0, leads_s or 0.0), math.inf if tick_in_s is None else tick_in_s, work)
