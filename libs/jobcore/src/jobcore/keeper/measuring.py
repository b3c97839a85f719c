"""Measuring: what the leading keeper sees in PostgreSQL, shown as gauges. See `metrics` for their names."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from jobcore.errors import StoreUnavailable
from jobcore.store import gauges
from jobcore.store.database import Database
from jobcore.store.gauges import Fleet, OpenJobs
from jobcore.telemetry import logs, metrics

MEASURE_S: Final = 5.0

log = logs.get(__name__)


class Measuring:
    """The gauges of one keeper: its own lead always, the rest every MEASURE_S seconds while it leads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._due = 0.0
        self._outage = logs.Outage(log, "gauges cannot be measured", "gauges are measured again")

    def look(self, *, leads: bool) -> None:
        """Measure what is due. Nothing where metrics are off."""
        if not metrics.enabled():
            return
        metrics.KEEPER_LEADS.show({(): float(leads)})
        if not leads:
            for gauge in metrics.SEEN:
                gauge.show({})
        elif time.monotonic() >= self._due:
            self._due = time.monotonic() + MEASURE_S
            try:
                show(self._db.call(gauges.open_jobs), self._db.call(gauges.fleets))
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)

    def blind(self) -> None:
        """The database is away: this keeper leads nobody, and what it saw grows stale."""
        metrics.KEEPER_LEADS.show({(): 0.0})


def show(open_jobs: Iterable[OpenJobs], fleets: Iterable[Fleet]) -> None:
    """Show what was measured. Queues that share a name as an attribute are added up."""
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
    for gauge, values in zip(metrics.SEEN, (jobs, oldest, workers, children, heartbeats), strict=True):
        gauge.show(values)
