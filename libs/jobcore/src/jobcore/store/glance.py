"""What a keeper asks each second: does it lead, and is there anything to do?

On a quiet system, where every open job waits for its time, it asks nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from jobcore.store.limits import BLOCKED
from jobcore.store.prepared import ORDERED
from jobcore.store.promotion import LEVEL, UNKNOWN_QUEUES
from jobcore.store.ready_jobs import IN_ORDER
from jobcore.store.schedules import IS_DUE, SECONDS_TO_NEXT


@dataclass(frozen=True, slots=True)
class Glance:
    """The state of the keeper's lease, of the schedules and of the jobs.

    `leads_s`: for how many seconds this keeper leads; 0 while another keeper does. `tick_in_s`: seconds until a
    schedule is due; infinite if there is none. `work`: whether a step of the keeper may find something to do.
    """

    leads_s: float
    tick_in_s: float
    work: bool


# The leader renews the lease only when half of it is over, and other keepers do not write while it holds; otherwise
# each would write every second. Ready jobs are looked for only above the low-water rank of their queue, so that dead
# index entries cost nothing, and only in queues that somebody serves, because the keeper does nothing about others.
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
       ) - now()) AS double precision) AS leads_s,
       ({SECONDS_TO_NEXT}) AS tick_in_s,
       EXISTS (SELECT FROM jobs WHERE status = 'RUNNING')
       OR EXISTS (SELECT FROM jobs WHERE status = 'CANCELLED' AND cancel_stopped_at IS NULL)
       OR EXISTS (SELECT FROM jobs WHERE {BLOCKED})
       OR EXISTS (SELECT FROM schedules WHERE {IS_DUE})
       OR EXISTS (SELECT FROM level WHERE run_at <= now())
       OR EXISTS ({UNKNOWN_QUEUES})
       OR EXISTS (
           SELECT FROM served JOIN queues USING (name) CROSS JOIN LATERAL (
               SELECT FROM jobs WHERE queue = name AND {IN_ORDER} LIMIT 1
           ) AS first WHERE NOT paused
       ) AS work
""")


def look(connection: Connection, me: UUID, ttl_s: float) -> Glance:
    """Take or renew the keeper's lease for `ttl_s` seconds unless another keeper has it; see what there is to do."""
    row = connection.execute(GLANCE, {"me": me, "ttl_s": ttl_s}).one()
    return Glance(max(0.0, row.leads_s or 0.0), math.inf if row.tick_in_s is None else row.tick_in_s, row.work)
