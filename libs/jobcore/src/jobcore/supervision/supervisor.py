"""The supervisor: a process beside each Celery main process that keeps the worker's lease and watches its children.

    Celery main ──fork──▶ supervisor (this; forked before any thread exists; outlives main and children)
         └──────fork──▶ child 0, child 1, …        each writes what it does into its slot (shared memory)

    every tick (0.2 s, or at once when a child dies or a cancel is published):
      lease            renew it when it is due; if it is lost: kill the children, give everything back, take a new id
      dead children    their jobs return to the queue at once; the job that ran counts a crash
      stop rules       runs that are cancelled, timed out or drained: request, interrupt, kill (escalation)
      loop lag         an event loop that a task blocks is reported
    every heartbeat:
      claim check      a RUNNING row that no slot lists and no child may be claiming is handed back
    when main has ended: kill the children, give everything back, leave, end.

It acts by signals and SQL alone and needs no internals of Celery.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from typing import Final

from jobcore.broker.cancel_listener import CancelListener
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.errors import StoreUnavailable
from jobcore.host import process_folders
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.error_budget import ErrorBudget
from jobcore.host.processes import Process
from jobcore.keeper.keeper import Keeper
from jobcore.settings import WorkerSettings
from jobcore.store.database import Database
from jobcore.store.releases import Cause
from jobcore.supervision.child_processes import end_leftovers_of_dead_workers
from jobcore.supervision.children import Children, Death
from jobcore.supervision.claim_check import ClaimCheck
from jobcore.supervision.dead_children import DeadChildren
from jobcore.supervision.deletion_cost import DeletionCost
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.lease import Identity, Lease
from jobcore.supervision.loop_lag import LoopLag
from jobcore.supervision.slots import Slots
from jobcore.supervision.stop_rules import StopRules
from jobcore.supervision.wake_up_check import WakeUpCheck
from jobcore.supervision.worker_claims import WorkerClaims
from jobcore.telemetry import logs

TICK_S: Final = 0.2
LEAVE_S: Final = 20.0
"""How long a supervisor whose main process has ended tries to give the jobs back, in seconds."""
MAIN_DEATH_S: Final = 0.1

log = logs.get(__name__)


class Supervisor:
    """Runs in a process of its own until the worker is gone."""

    def __init__(self, slots: Slots, settings: WorkerSettings, identity: Identity, waker: Waker) -> None:
        self._slots = slots
        self._settings = settings
        db = Database(
            settings.database_url,
            schema=settings.database_schema,
            name="longrun-supervisor",
            pool_size=1,
            timeout_s=settings.lease_s / 3,
        )
        publisher = EventPublisher(settings.redis)
        self._lease = Lease(db, slots, settings, identity)
        self._children = Children(slots, Process(identity.pid), meanwhile=self._lease.keep)
        self._escalation = Escalation(slots, self._children, settings)
        self._claims = WorkerClaims(db, self._lease, publisher, waker, settings)
        self._dead_children = DeadChildren(self._children, self._escalation, self._claims)
        self._stop_rules = StopRules(slots, self._escalation, self._claims, settings)
        self._loop_lag = LoopLag(slots, self._children)
        self._claim_check = ClaimCheck(slots, self._children, self._claims)
        self._claim_check_due = 0.0
        self._threads: list[BackgroundThread] = [
            waker,
            publisher,
            CancelListener(settings.redis, self._on_cancel),
            Keeper(settings, waker, publisher),
            WakeUpCheck(slots, settings, identity.queues, self._children.main),
        ]
        if settings.pod_deletion_cost:
            self._threads.append(DeletionCost(slots, settings))
        self._outage = logs.Outage(log, "supervision paused: the database is unavailable", "supervision resumed")
        self._error_budget = ErrorBudget("supervision", settings.lease_s)

    def run(self) -> None:
        """Supervise until the main process and its children are gone."""
        end_leftovers_of_dead_workers()
        process_folders.sweep_soon()
        for thread in self._threads:
            thread.start()
        while not self._children.main.exited():
            self._slots.supervised()
            self._loop_lag.check()
            try:
                self._tick()
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)
            except Exception as error:
                if not self._error_budget.allows(error):
                    raise
            self._children.wait(TICK_S)
        self._close()

    def _tick(self) -> None:
        deaths = self._children.poll()
        if not self._lease.renew():
            self._give_up_lease()
            return
        if not self._main_is_dying(deaths):
            self._dead_children.account_for(deaths)
        try:
            self._stop_rules.apply()
        finally:  # what is overdue is stopped also while PostgreSQL is away
            self._escalation.escalate()
        if time.monotonic() >= self._claim_check_due:
            self._claim_check_due = time.monotonic() + self._settings.heartbeat_s
            self._claim_check.check()

    def _main_is_dying(self, deaths: list[Death]) -> bool:
        # the kernel kills the children of a dying main process before its end can be seen: `_close` gives all back
        return bool(deaths) and self._children.main.exited(within_s=MAIN_DEATH_S)

    def _on_cancel(self) -> None:
        self._stop_rules.check_cancels_now()
        self._children.nudge()

    def _give_up_lease(self) -> None:
        """Nobody may run past the lease: kill the children, then give everything back once PostgreSQL answers."""
        self._kill_children()
        self._claims.leave("loss")
        self._lease.restart()

    def _close(self) -> None:
        self._kill_children()
        cause: Cause = "loss" if self._slots.draining_since is None else "handed_back"
        give_up_at = time.monotonic() + LEAVE_S
        while time.monotonic() < give_up_at:
            try:
                self._claims.leave(cause)
                break
            except StoreUnavailable:
                time.sleep(TICK_S)  # after LEAVE_S the keeper does it, once the lease has ended
        for thread in reversed(self._threads):
            thread.stop()

    def _kill_children(self) -> None:
        """End the lease, kill every child and wait for their deaths.

        A process that takes one of their slots meanwhile has no lease and lives on.
        """
        self._slots.expire()
        self._children.poll()
        self._children.kill_all()
        doomed = set(self._children.processes)
        while doomed:
            deaths = self._children.poll()
            self._children.end_leftovers(deaths)
            for death in deaths:
                self._dead_children.clear(death)
                doomed.discard(death.slot)
            if doomed:
                self._children.wait(TICK_S)


def ignore_signals() -> None:
    """The supervisor ends when the main process does, not when a terminal or an operator signals the group."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1)
    os.setpgid(0, 0)
