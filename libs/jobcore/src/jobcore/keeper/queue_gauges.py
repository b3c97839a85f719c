"""The gauges about queues and workers: the leading keeper reads them in PostgreSQL. See `metrics` for their names."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from jobcore.errors import StoreUnavailable
from jobcore.store import gauges, served
from jobcore.store.database import Database
from jobcore.store.gauges import Fleet, OpenJobs
from jobcore.store.served import Served
from jobcore.telemetry import instruments, logs, metrics
from jobcore.telemetry.instruments import Gauge

REFRESH_S: Final = 5.0

log = logs.get(__name__)


class QueueGauges:
    """The gauges of one keeper: whether it leads, and, every REFRESH_S seconds while it leads, all others."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._due = 0.0
        self._outage = logs.Outage(log, "cannot read the queue gauges", "queue gauges are read again")

    def refresh(self, *, leads: bool) -> None:
        """Read the gauges if they are due. Does nothing if metrics are off."""
        if not instruments.enabled():
            return
        metrics.KEEPER_LEADS.set({(): float(leads)})
        if not leads:
            for gauge in metrics.READ_BY_KEEPER:
                gauge.set({})
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + REFRESH_S
            try:
                set_gauges(
                    self._db.call(gauges.open_jobs),
                    self._db.call(gauges.fleets),
                    self._db.call(served.read),
                    self._db.call(gauges.rate_blocked),
                )
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)

    def database_unavailable(self) -> None:
        """Report that this keeper does not lead; the other gauges end after `instruments.STALE_S` seconds."""
        metrics.KEEPER_LEADS.set({(): 0.0})


def set_gauges(
    open_jobs: Iterable[OpenJobs], fleets: Iterable[Fleet], served: Served, rate_blocked: Mapping[str, int]
) -> None:
    """Set the gauges from rows of the store. Queues that share the attribute `_OTHER` are added up."""
    values: dict[Gauge, dict[tuple[str, ...], float]] = {gauge: defaultdict(float) for gauge in metrics.READ_BY_KEEPER}
    oldest, heartbeats = values[metrics.OLDEST_READY], values[metrics.HEARTBEAT_AGE]
    for group in open_jobs:
        queue = metrics.queue(group.queue)
        values[metrics.JOBS_OPEN][group.task_type, queue, group.state] += group.count
        oldest[(queue,)] = max(oldest[(queue,)], group.oldest_s)
        if group.state == "ready" and served.lacks(group.queue, group.task_type):
            values[metrics.JOBS_UNSERVED][group.task_type, queue] += group.count
    for name, count in rate_blocked.items():
        values[metrics.JOBS_RATE_BLOCKED][(metrics.queue(name),)] += count
    for fleet in fleets:
        queue = metrics.queue(fleet.queue)
        oldest[(queue,)] += 0.0
        values[metrics.WORKERS][queue, fleet.state] += fleet.workers
        values[metrics.CHILDREN][queue, "full"] += fleet.children - fleet.free
        values[metrics.CHILDREN][queue, "free"] += fleet.free
        for gauge, counts in ((metrics.RUNNING, fleet.runs), (metrics.ROOM, fleet.room)):
            for lane, count in counts.items():
                values[gauge][queue, lane] += count
        heartbeats[(queue,)] = max(heartbeats[(queue,)], fleet.heartbeat_age_s)
    for gauge, seen in values.items():
        gauge.set(seen)
