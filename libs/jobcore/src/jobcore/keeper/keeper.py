"""The keeper: periodic work on all jobs that no request and no worker does. `python -m jobcore.keeper`.

It is a thread of every API process and every supervisor; one of them leads, by a lease in the table `keeper_lease`. Two
leaders at once do no harm: every step is a guarded statement about the current state, not about changes.

    every second         one query asks whether this keeper leads and whether there is work. If so, due schedules are
                         fired, due jobs are promoted, jobs are unblocked where their limit has room, and queues that
                         have free children and no wake-up get one
    five times a second  the leader asks whether the time of a job has come, and if so, promotes it and wakes a worker
    every few seconds    silent workers are declared dead, lost runs return to their queues, orphaned cancel receipts
                         are completed, low-water ranks rise

While more jobs are due than one check can promote, checks follow each other without a pause. Long work is in threads of
its own (`housekeeping`, `file_deletion`, `bulk_actions`), and so is what has times of its own (`rate_releases`).

A worker is dead if its heartbeat counter has not moved for a full lease on this keeper's own monotonic clock. So a
stepped clock or a failover of the database kills nobody.
"""

from __future__ import annotations

import time
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import REDIS_ERRORS, Waker
from jobcore.errors import LongrunError
from jobcore.host.background_thread import BackgroundThread
from jobcore.keeper.bulk_actions import BulkActions
from jobcore.keeper.file_deletion import FileDeletion
from jobcore.keeper.housekeeping import Housekeeping
from jobcore.keeper.queue_gauges import QueueGauges
from jobcore.keeper.rate_releases import RateReleases
from jobcore.keeper.scheduler import SHORTEST_S, Scheduler
from jobcore.models import Worker
from jobcore.settings import CoreSettings
from jobcore.store import cancellations, glance, low_ranks, promotion, queue_demand, queues, quotas, rescue, workers
from jobcore.store.database import Database
from jobcore.store.queue_demand import Demand
from jobcore.store.releases import release
from jobcore.telemetry import logs, metrics, traces

SLOW_S: Final = 3.0
QUIET_RANKS_S: Final = 10.0
"""How often low-water ranks rise while there is no other work, in seconds."""
NEGLECTED_S: Final = 2.0
PROMOTION_S: Final = 0.5
"""How long one check promotes due jobs before it wakes workers for them, in seconds."""
PROBE_S: Final = 0.2
"""How often the leader looks for jobs whose time has come, in seconds: the end of a delay, and the commit of a
transaction that submitted a job, are noticed this late at most."""
AT_ONCE_S: Final = 0.01
PAUSE: Final = 0.9
"""Which share of `keeper_s` is between two checks. The rest is for a check itself, so that whatever commits just behind
one has its wake-up within `keeper_s`."""
QUEUES: Final = 500

log = logs.get(__name__)


class Keeper(BackgroundThread):
    """The thread of one keeper. Any number may run at once."""

    def __init__(self, settings: CoreSettings, waker: Waker, publisher: EventPublisher) -> None:
        super().__init__("keeper")
        self._settings = settings
        self._waker = waker
        self._publisher = publisher
        self._db = Database(settings.database_url, schema=settings.database_schema, name="longrun-keeper", pool_size=1)
        self._gauges = QueueGauges(self._db)
        self._limits = Limits(self._db, waker.wake)
        self._scheduler = Scheduler(self._db, publisher, self._limits)
        self._rate_releases = RateReleases(settings, waker.wake, self._leads)
        self._others = (
            Housekeeping(settings, publisher, self._leads),
            FileDeletion(settings, self._leads),
            BulkActions(settings, waker, publisher, self._leads),
            self._rate_releases,
        )
        self._leads_until = 0.0
        self._last_queue = ""
        self._me = uuid7()
        self._beats: dict[UUID, tuple[int, float]] = {}
        self._slow_at = self._ranks_at = self._check_at = 0.0
        self.pause_s = PAUSE * settings.keeper_s
        """Seconds until the next check."""
        self._redis = logs.Outage(log, "cannot send wake-ups: Redis is unavailable", "the keeper sends wake-ups again")
        self._store = logs.Outage(log, "keeper paused: the database is unavailable", "keeper resumed")

    def start(self) -> None:
        """Start this thread, and those of its long work and of the releases of rate limits."""
        super().start()
        for thread in self._others:
            thread.start()

    def on_stop(self) -> None:
        """Stop the other threads too."""
        for thread in self._others:
            thread.stop()

    def _leads(self) -> bool:
        return time.monotonic() < self._leads_until

    def run(self) -> None:
        """Check every `keeper_s` seconds, and when a schedule is due, and promote what is due, until stopped."""
        self._check_at = time.monotonic() + self.pause_s
        with traces.quiet():
            while not self.pause(max(0.0, min(PROBE_S, self._check_at - time.monotonic()))):
                try:
                    if self._step():
                        self._store.end()
                except LongrunError as error:
                    self._store.begin(error)
                    self._gauges.database_unavailable()
                except Exception:
                    log.exception("keeper failed; retrying")

    def _step(self) -> bool:
        """Check if it is time; otherwise only promote what is due, if this keeper leads. False if it did neither."""
        if time.monotonic() < self._check_at:
            if not self._leads():
                return False
            self.promote_due()
            return True
        try:
            self.check()
        finally:
            self._check_at = time.monotonic() + self.pause_s
        return True

    def promote_due(self) -> None:
        """Promote jobs whose time has come, and wake workers for them. Raises StoreUnavailable."""
        if self._db.call(promotion.some_due):
            if self._promote():
                self._check_at = time.monotonic()
            self._wake()

    def check(self) -> None:
        """Do once what is due, if this keeper leads. Raises StoreUnavailable."""
        self.pause_s = PAUSE * self._settings.keeper_s
        seen = self._db.call(glance.look, self._me, 3 * self._settings.keeper_s + 2)
        leads = seen.leads_s > 0
        self._leads_until = time.monotonic() + seen.leads_s
        slow = time.monotonic() >= self._slow_at
        silent: dict[UUID, int] = {}
        if slow:
            self._slow_at = time.monotonic() + SLOW_S
            # also if another keeper leads, so that the next leader knows at once who is silent
            silent = self._silent(self._db.call(workers.live))
        if leads and (seen.work or slow):
            self._fold()
        if leads and (seen.work or silent):
            self._work(silent, slow=slow)
        elif leads:
            self.pause_s = min(self.pause_s, max(SHORTEST_S, seen.tick_in_s))
            if time.monotonic() >= self._ranks_at:
                self._raise_low_ranks(every=True)
        self._gauges.refresh(leads=leads)

    def _work(self, silent: dict[UUID, int], *, slow: bool) -> None:
        """Run every step in an order in which each may make work for the next."""
        self.pause_s = min(self.pause_s, self._scheduler.check())
        if slow:
            self._rescue(silent)
        more_is_due = self._promote()
        if self._limits.check() or more_is_due:
            self.pause_s = AT_ONCE_S
        self._rate_releases.look()
        self._raise_low_ranks(every=slow)
        self._wake()

    def _wake(self) -> None:
        wanted = {demand.queue: _wanted(demand) for demand in self._db.call(queue_demand.read)}
        wanted = {queue: count for queue, count in wanted.items() if count > 0}
        if not wanted:
            return
        try:
            self._waker.fill(wanted)
        except REDIS_ERRORS as error:
            self._redis.begin(error)
        else:
            self._redis.end()

    def _rescue(self, silent: dict[UUID, int]) -> None:
        dead = self._db.call(workers.declare_dead, silent) if silent else []
        metrics.workers_lost(len(dead))
        for worker_id in dead:
            log.error("declared a worker dead: it is silent for longer than its lease", worker_id=str(worker_id))
        while lost := self._db.call(rescue.lost):
            self._publisher.publish_changes(
                self._db.call(
                    release,
                    lost,
                    max_crashes=self._settings.max_crashes,
                    max_losses=self._settings.max_losses,
                )
            )
        self._publisher.publish_stops(self._db.call(cancellations.complete_orphaned))

    def _silent(self, live: list[Worker]) -> dict[UUID, int]:
        now = time.monotonic()
        seen = {worker.id: self._beats.get(worker.id, (-1, now)) for worker in live}
        self._beats = {
            worker.id: seen[worker.id] if seen[worker.id][0] == worker.beat else (worker.beat, now) for worker in live
        }
        return {
            worker_id: beat for worker_id, (beat, since) in self._beats.items() if now - since > self._settings.lease_s
        }

    def _promote(self) -> bool:
        """Promote due jobs; True if there were more than one check has time for."""
        until = time.monotonic() + PROMOTION_S
        while promoted := self._db.call(promotion.promote):
            self._limits.became_due(promoted)
            self._publisher.announce()  # jobs of transactions of applications have no other announcement
            if time.monotonic() > until:
                return True
        return False

    def _fold(self) -> None:
        """Add up what owners have taken of their quotas, so that each look at it reads few rows."""
        while self._db.call(quotas.fold) and not self.stopping:
            self.beat()

    def _raise_low_ranks(self, *, every: bool) -> None:
        """Raise the low-water ranks of queues in which jobs run, and with `every` of QUEUES others in turn."""
        names = self._db.call(queues.busy)
        if every:
            self._ranks_at = time.monotonic() + QUIET_RANKS_S
            others = self._db.call(queues.names, self._last_queue, QUEUES)
            self._last_queue = others[-1] if len(others) == QUEUES else ""
            names = sorted({*names, *others})
        if names:
            self._db.call(low_ranks.refresh, names)


def _wanted(demand: Demand) -> int:
    """How many wake-ups a queue needs: one is enough unless its oldest job has been ready for NEGLECTED_S seconds."""
    useful = min(demand.ready, demand.free)
    return useful if demand.oldest_s > NEGLECTED_S else min(useful, 1)
