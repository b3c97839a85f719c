"""The keeper: looks at what is in PostgreSQL and sets right what nobody else will. `python -m jobcore.keeper`.

It is a thread of every API process and every supervisor; one of them leads by a lease row. Two leaders at once do no
harm: every step is a guarded statement that looks at what is, not at what changed.

    every second          one glance: whether this keeper leads, and whether there is anything to do. Then schedules
                          that are due get their jobs, what became due is made ready, blocked jobs whose limit has room get ready; queues with
                          idle children and no wake-up are woken
    every few seconds     silent workers are declared dead, lost runs go back, orphaned cancels end,
                          low-water ranks move up

While more is due than one look can make ready, looks follow each other without a pause. What may take long beside them,
as expiry and retention, is a thread of its own: see `housekeeping`.

A worker is dead when its heartbeat counter did not move for a full lease on this keeper's own monotonic clock: a
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
from jobcore.keeper.housekeeping import Housekeeping
from jobcore.keeper.queue_gauges import QueueGauges
from jobcore.keeper.scheduler import SHORTEST_S, Scheduler
from jobcore.models import Worker
from jobcore.settings import CoreSettings
from jobcore.store import cancellations, claims, glance, promotion, queues, rescue, workers
from jobcore.store.database import Database
from jobcore.store.queues import Demand
from jobcore.telemetry import logs, metrics, traces

SLOW_S: Final = 3.0
QUIET_RANKS_S: Final = 10.0
"""While there is nothing to do, low-water ranks move up once in so many seconds."""
NEGLECTED_S: Final = 2.0
PROMOTION_S: Final = 0.5
"""A look makes ready what became due for so long at most, then it wakes workers for that."""
AT_ONCE_S: Final = 0.01
QUEUES: Final = 500

log = logs.get(__name__)


class Keeper(BackgroundThread):
    """Keeps the promises that need somebody to look. Start as many as you like."""

    def __init__(self, settings: CoreSettings, waker: Waker, publisher: EventPublisher) -> None:
        super().__init__("keeper")
        self._settings = settings
        self._waker = waker
        self._publisher = publisher
        self._db = Database(settings.database_url, schema=settings.database_schema, name="longrun-keeper", pool_size=1)
        self._gauges = QueueGauges(self._db)
        self._limits = Limits(self._db, waker.wake)
        self._scheduler = Scheduler(self._db, publisher, self._limits)
        self._housekeeping = Housekeeping(settings, publisher, lambda: time.monotonic() < self._leads_until)
        self._leads_until = 0.0
        self._last_queue = ""
        self._me = uuid7()
        self._beats: dict[UUID, tuple[int, float]] = {}
        self._slow_at = self._ranks_at = 0.0
        self.pause_s = settings.keeper_s
        """Seconds until the next check."""
        self._redis = logs.Outage(log, "queues are not woken: Redis is away", "queues are woken again")
        self._store = logs.Outage(log, "the keeper waits: the database is away", "the keeper goes on")

    def start(self) -> None:
        """Start this thread and that of the housekeeping."""
        super().start()
        self._housekeeping.start()

    def on_stop(self) -> None:
        """Stop the housekeeping too."""
        self._housekeeping.stop()

    def run(self) -> None:
        """Look every `keeper_s` seconds, and when a schedule is due, until stopped."""
        with traces.quiet():
            while not self.pause(self.pause_s):
                try:
                    self.check()
                    self._store.end()
                except LongrunError as error:
                    self._store.begin(error)
                    self._gauges.database_unavailable()
                except Exception:
                    log.exception("the keeper failed; it tries again")

    def check(self) -> None:
        """One look at everything, if this keeper leads."""
        self.pause_s = self._settings.keeper_s
        seen = self._db.call(glance.look, self._me, 3 * self._settings.keeper_s + 2)
        leads = seen.leads_s > 0
        self._leads_until = time.monotonic() + seen.leads_s
        slow = time.monotonic() >= self._slow_at
        silent: dict[UUID, int] = {}
        if slow:
            self._slow_at = time.monotonic() + SLOW_S
            # also by those that do not lead: the next leader knows already who is silent
            silent = self._silent(self._db.call(workers.live))
        if leads and (seen.work or silent):
            self._work(silent, slow=slow)
        elif leads:
            self.pause_s = min(self.pause_s, max(SHORTEST_S, seen.tick_in_s))
            if time.monotonic() >= self._ranks_at:
                self._raise_low_ranks(every=True)
        self._gauges.refresh(leads=leads)

    def _work(self, silent: dict[UUID, int], *, slow: bool) -> None:
        """Every step, as each may have made something to do for the next."""
        self.pause_s = min(self.pause_s, self._scheduler.check())
        if slow:
            self._rescue(silent)
        more_is_due = self._promote()
        if self._limits.check() or more_is_due:
            self.pause_s = AT_ONCE_S
        self._raise_low_ranks(every=slow)
        self._wake()

    def _wake(self) -> None:
        wanted = {demand.queue: _wanted(demand) for demand in self._db.call(queues.demand)}
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
            log.error("a worker is silent for longer than its lease: declared dead", worker_id=str(worker_id))
        while lost := self._db.call(rescue.lost):
            self._publisher.publish_changes(
                self._db.call(
                    claims.release,
                    lost,
                    max_crashes=self._settings.max_crashes,
                    max_losses=self._settings.max_losses,
                )
            )
        self._db.call(cancellations.complete_orphaned)

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
        """Make ready what became due; whether there was too much of it for one look."""
        until = time.monotonic() + PROMOTION_S
        while promoted := self._db.call(promotion.promote):
            self._limits.became_due(promoted)
            if time.monotonic() > until:
                return True
        return False

    def _raise_low_ranks(self, *, every: bool) -> None:
        """Those of the queues in which jobs run, and of some hundred others every few seconds."""
        names = self._db.call(queues.busy)
        if every:
            self._ranks_at = time.monotonic() + QUIET_RANKS_S
            others = self._db.call(queues.names, self._last_queue, QUEUES)
            self._last_queue = others[-1] if len(others) == QUEUES else ""
            names = sorted({*names, *others})
        if names:
            self._db.call(queues.refresh_low_ranks, names)


def _wanted(demand: Demand) -> int:
    """One wake-up keeps a served queue going; a neglected one gets as many as its idle children can use."""
    useful = min(demand.ready, demand.idle)
    return useful if demand.oldest_s > NEGLECTED_S else min(useful, 1)
