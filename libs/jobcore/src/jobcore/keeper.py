"""The keeper: looks at what is in PostgreSQL and sets right what nobody else will. `python -m jobcore.keeper`.

It is a thread of every API process and every supervisor; one of them leads by a lease row. Two leaders at once do no
harm: every step is a guarded statement that looks at what is, not at what changed.

    every second          schedules that are due get their jobs, what became due is made ready, gates let jobs pass;
                          queues with idle children and no wake-up are woken
    every few seconds     silent workers are declared dead, lost runs go back, orphaned cancels and expired jobs end,
                          low-water ranks move up, old jobs go

A worker is dead when its heartbeat counter did not move for a full lease on this keeper's own monotonic clock: a
stepped clock or a failover of the database kills nobody.
"""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore import logs, metrics, telemetry
from jobcore.errors import LongrunError
from jobcore.gates import Gates
from jobcore.live import Announcer
from jobcore.measuring import Measuring
from jobcore.models import Change, Worker
from jobcore.scheduler import Scheduler
from jobcore.settings import CoreSettings, read
from jobcore.store import claims, queues, stops, upkeep, workers
from jobcore.store.database import Database
from jobcore.store.queues import Demand
from jobcore.wakeup import AWAY, Waker

SLOW_S: Final = 3.0
NEGLECTED_S: Final = 2.0
DAY_S: Final = 86_400

log = logs.get(__name__)


class Keeper:
    """Keeps the promises that need somebody to look. Start as many as you like."""

    def __init__(self, settings: CoreSettings, waker: Waker, announcer: Announcer) -> None:
        self._settings = settings
        self._waker = waker
        self._announcer = announcer
        self._db = Database(settings.database_url, schema=settings.database_schema, name="longrun-keeper", pool_size=1)
        self._measuring = Measuring(self._db)
        self._gates = Gates(self._db, waker.wake)
        self._scheduler = Scheduler(self._db, announcer, self._gates)
        self._me = uuid7()
        self._beats: dict[UUID, tuple[int, float]] = {}
        self._slow_at = 0.0
        self._pause_s = settings.keeper_s
        self._redis = logs.Outage(log, "queues are not woken: Redis is away", "queues are woken again")
        self._store = logs.Outage(log, "the keeper waits: the database is away", "the keeper goes on")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def run(self) -> None:
        """Look every `keeper_s` seconds, and when a schedule is due, until stopped."""
        with telemetry.quiet():
            while not self._stopping.wait(self._pause_s):
                try:
                    self.look()
                    self._store.end()
                except LongrunError as error:
                    self._store.begin(error)
                    self._measuring.blind()
                except Exception:
                    log.exception("the keeper failed; it tries again")

    def look(self) -> None:
        """One look at everything, if this keeper leads."""
        self._pause_s = self._settings.keeper_s
        leads = self._db.call(upkeep.lead, self._me, 3 * self._settings.keeper_s + 2)
        slow = time.monotonic() >= self._slow_at
        if slow:
            self._slow_at = time.monotonic() + SLOW_S
            # also by those that do not lead: the next leader knows already who is silent
            silent = self._silent(self._db.call(workers.live))
        if leads:
            self._pause_s = min(self._pause_s, self._scheduler.look())
            self._db.call(queues.promote)
            self._gates.look()
            if slow:
                self._rescue(silent)
                self._tidy()
            self._wake()
        self._measuring.look(leads=leads)

    def _wake(self) -> None:
        wanted = {demand.queue: _wanted(demand) for demand in self._db.call(queues.demand)}
        wanted = {queue: count for queue, count in wanted.items() if count > 0}
        if not wanted:
            return
        try:
            self._waker.fill(wanted)
        except AWAY as error:
            self._redis.begin(error)
        else:
            self._redis.end()

    def _rescue(self, silent: dict[UUID, int]) -> None:
        dead = self._db.call(workers.declare_dead, silent)
        metrics.workers_lost(len(dead))
        for worker_id in dead:
            log.error("a worker is silent for longer than its lease: declared dead", worker_id=str(worker_id))
        while lost := self._db.call(upkeep.lost):
            self._tell(
                self._db.call(
                    claims.release,
                    lost,
                    max_crashes=self._settings.max_crashes,
                    max_losses=self._settings.max_losses,
                )
            )
        self._db.call(stops.close_orphaned)

    def _silent(self, live: list[Worker]) -> dict[UUID, int]:
        now = time.monotonic()
        seen = {worker.id: self._beats.get(worker.id, (-1, now)) for worker in live}
        self._beats = {
            worker.id: seen[worker.id] if seen[worker.id][0] == worker.beat else (worker.beat, now) for worker in live
        }
        return {
            worker_id: beat for worker_id, (beat, since) in self._beats.items() if now - since > self._settings.lease_s
        }

    def _tidy(self) -> None:
        self._tell(self._db.call(upkeep.expire))
        self._db.call(queues.refresh_low_ranks)
        self._db.call(workers.forget)
        self._db.call(upkeep.forget_turns)
        if self._settings.retention_days:
            age_s = self._settings.retention_days * DAY_S
            self._db.call(upkeep.retire, _oldest_kept(age_s), age_s)

    def _tell(self, changes: list[Change]) -> None:
        self._announcer.announce(changes)


def _wanted(demand: Demand) -> int:
    """One wake-up keeps a served queue going; a neglected one gets as many as its idle children can use."""
    useful = min(demand.ready, demand.idle)
    return useful if demand.oldest_s > NEGLECTED_S else min(useful, 1)


def _oldest_kept(age_s: float) -> UUID:
    """The smallest UUIDv7 (RFC 9562, section 5.7) of a time `age_s` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return UUID(int=int(at.timestamp() * 1000) << 80)


def main() -> None:
    """Run a keeper as a process of its own until SIGTERM or SIGINT."""
    settings = read(CoreSettings)
    logs.setup(settings)
    telemetry.setup("longrun-keeper", spans=False)
    waker, announcer = Waker(settings), Announcer(settings.redis_url)
    keeper = Keeper(settings, waker, announcer)
    waker.start()
    announcer.start()
    keeper.start()
    log.info("keeping")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    keeper.stop()
    waker.stop()
    announcer.stop()
    telemetry.flush()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
