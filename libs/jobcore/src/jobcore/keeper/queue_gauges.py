"""The gauges about queues and workers: the leading keeper reads them in PostgreSQL. See `metrics` for their names."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from jobcore.errors import StoreUnavailable
from jobcore.store import gauges
from jobcore.store.database import Database
from jobcore.store.gauges import Fleet, OpenJobs
from jobcore.telemetry import instruments, logs, metrics

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
                set_gauges(self._db.call(gauges.open_jobs), self._db.call(gauges.fleets))
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)

    def database_unavailable(self) -> None:
        """Report that this keeper does not lead; the other gauges end after `instruments.STALE_S` seconds."""
        metrics.KEEPER_LEADS.set({(): 0.0})


def set_gauges(open_jobs: Iterable[OpenJobs], fleets: Iterable[Fleet]) -> None:
    """Set the gauges from rows of the store. Queues that share the attribute `_OTHER` are added up."""
    jobs: dict[tuple[str, ...], float] = defaultdict(float)
    oldest: dict[tuple[str, ...], float] = defaultdict(float)
    workers: dict[tuple[str, ...], float] = defaultdict(float)
    children: dict[tuple[str, ...], float] = defaultdict(float)
    heartbeats: dict[tuple[str, ...], float] = defaultdict(float)
    for group in open_jobs:
        queue = metrics.queue(group.queue)
        jobs[group.task_type, queue, group.state] += group.count
        oldest[(queue,)] = max(oldest[(queue,)], group.oldest_s)
    for fleet in fleets:
        queue = metrics.queue(fleet.queue)
        oldest[(queue,)] += 0.0
        workers[queue, fleet.state] += fleet.workers
        children[queue, "busy"] += fleet.busy
        if fleet.state == "active":
            children[queue, "idle"] += fleet.children - fleet.busy
        heartbeats[(queue,)] = max(heartbeats[(queue,)], fleet.heartbeat_age_s)
    for gauge, values in zip(metrics.READ_BY_KEEPER, (jobs, oldest, workers, children, heartbeats), strict=True):
        gauge.set(values)
