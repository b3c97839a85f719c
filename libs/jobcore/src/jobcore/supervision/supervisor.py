"""The supervisor: a process beside each Celery main process that keeps the worker's lease and the children honest.

    Celery main ──fork──▶ supervisor (this; forked before any thread exists; outlives main and children)
         └──────fork──▶ child 0, child 1, …        each writes what it does into its slot (shared memory)

    every tick (0.2 s, or at once when a child dies or a cancel is told):
      lease      renew it when due; if it is lost: kill the children, give everything back, start under a new id
      deaths     a dead child's jobs go back to the queue at once; the one that ran counts a crash
      stops      cancelled, timed out, or drained: request, interrupt, kill (escalation.py)
    every heartbeat:
      compare    a RUNNING row that no slot lists and no child may be claiming is handed back
    when main is gone: kill the children, give everything back, say so, end.

It acts by signals and SQL alone and needs nothing of Celery's insides.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from typing import Final
from uuid import UUID

from jobcore.broker.cancel_listener import CancelListener
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.errors import StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.error_budget import ErrorBudget
from jobcore.host.processes import Process
from jobcore.keeper.keeper import Keeper
from jobcore.models import Change, RunningJob
from jobcore.settings import WorkerSettings
from jobcore.store import cancellations, claims, workers
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.claims import Cause, Release
from jobcore.store.database import Database
from jobcore.supervision.children import Children, Death
from jobcore.supervision.deletion_cost import DeletionCost
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.lease import Identity, Lease
from jobcore.supervision.slots import RunKey, Slots, StopReason
from jobcore.supervision.wake_up_check import WakeUpCheck
from jobcore.telemetry import logs

TICK_S: Final = 0.2
CANCEL_CHECK_S: Final = 1.0
STUCK_CLAIM_S: Final = 20.0
UNKNOWN_S: Final = 5.0
"""So long a slot may stay damaged before its child is killed: nothing of it can be given back while it lives."""
LAST_WORDS_S: Final = 20.0
MAIN_DEATH_S: Final = 0.1

log = logs.get(__name__)


class Supervisor:
    """Runs in a process of its own until the worker is gone."""

    def __init__(self, slots: Slots, settings: WorkerSettings, identity: Identity, waker: Waker) -> None:
        self._slots = slots
        self._settings = settings
        self._db = Database(
            settings.database_url,
            schema=settings.database_schema,
            name="longrun-supervisor",
            pool_size=1,
            timeout_s=settings.lease_s / 3,
        )
        self._waker = waker
        self._publisher = EventPublisher(settings.redis)
        self._children = Children(slots, Process(identity.pid))
        self._escalation = Escalation(slots, self._children, settings)
        self._lease = Lease(self._db, slots, settings, identity)
        self._threads: list[BackgroundThread] = [
            self._waker,
            self._publisher,
            CancelListener(settings.redis, self._on_cancel),
            Keeper(settings, self._waker, self._publisher),
            WakeUpCheck(slots, settings, identity.queues, self._children.main),
        ]
        if settings.pod_deletion_cost:
            self._threads.append(DeletionCost(slots, settings))
        self._outage = logs.Outage(log, "supervision waits: the database is away", "supervision goes on")
        self._compare_at = 0.0
        self._cancels_at = 0.0
        self._claiming_since: dict[int, tuple[int, float]] = {}
        self._error_budget = ErrorBudget("supervision", settings.lease_s)

    def run(self) -> None:
        """Supervise until the main process and its children are gone."""
        for thread in self._threads:
            thread.start()
        while not self._children.main.exited():
            self._slots.supervised()
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
        self._account_for(deaths)
        self._request_stops()
        self._escalation.escalate()
        if time.monotonic() >= self._compare_at:
            self._compare_at = time.monotonic() + self._settings.heartbeat_s
            self._compare()

    # Deaths

    def _account_for(self, deaths: list[Death]) -> None:
        if not deaths:
            return
        # the kernel kills the children of a dying main process before its end can be seen
        if self._children.main.exited(within_s=MAIN_DEATH_S):
            return  # `_close` gives everything back
        alone = len(deaths) == 1
        rows = self._rows()
        for death in deaths:
            mine = [row for row in rows if row.slot == death.slot]
            self._release([Release(row.task_id, row.fence, self._cause(death, row, alone)) for row in mine])
            self._stop_receipts(death)
            if mine:
                log.warning(
                    "a child died with jobs", pid=death.state.pid, jobs=[str(row.task_id) for row in mine], alone=alone
                )
            self._escalation.forget(death.slot)
            self._children.bury(death.slot)

    def _cause(self, death: Death, row: RunningJob, alone: bool) -> Cause:
        key = RunKey(row.task_id, row.fence)
        request = self._escalation.stopped_by(death.slot)
        if request and request.key == key:
            return "timeout" if request.reason is StopReason.TIMEOUT else "handed_back"
        if not death.state.known:
            return "loss"
        if key == death.state.run:
            return "crash" if alone else "loss"
        return "loss" if key in death.state.claims else "handed_back"

    def _stop_receipts(self, death: Death) -> None:
        if self._lease.worker_id is None:
            return
        method = "kill" if self._escalation.stopped_by(death.slot) else "worker_lost"
        stopping = self._db.call(cancellations.open_cancels, self._lease.worker_id)
        here = [CompletedCancel(stop.id, stop.fence, method) for stop in stopping if stop.slot == death.slot]
        self._db.call(cancellations.complete, here)

    # Stops

    def _on_cancel(self) -> None:
        self._cancels_at = 0.0
        self._children.nudge()

    def _request_stops(self) -> None:
        now = time.monotonic()
        drain_over = self._drain_over(now)
        busy = False
        for slot in self._slots:
            state = slot.read()
            busy = busy or state.busy
            if state.run is None:
                continue
            if state.run_deadline is not None and now > state.run_deadline:
                self._escalation.request(slot.index, state.run, StopReason.TIMEOUT)
            elif drain_over:
                self._escalation.request(slot.index, state.run, StopReason.DRAIN)
        if now >= self._cancels_at:
            # also with idle children: a claim whose reply was lost may have been cancelled before it was handed back
            self._cancels_at = now + (CANCEL_CHECK_S if busy else self._settings.heartbeat_s)
            self._request_cancels()

    def _request_cancels(self) -> None:
        if self._lease.worker_id is None:
            return
        over = []
        for stop in self._db.call(cancellations.open_cancels, self._lease.worker_id):
            key = RunKey(stop.id, stop.fence)
            state = self._slots[stop.slot].read()
            if self._escalation.request(stop.slot, key, StopReason.CANCEL):
                self._db.call(cancellations.acknowledge, *key)
            elif key not in state.claims and not state.claiming:
                over.append(CompletedCancel(*key, "finished"))
        self._db.call(cancellations.complete, over)

    def _drain_over(self, now: float) -> bool:
        since = self._slots.draining_since
        return since is not None and now > since + self._settings.drain_s

    # Claims without a runner

    def _compare(self) -> None:
        """The rows are read before the slots: a claim that is visible was being claimed or is held by then."""
        rows = self._rows()
        nobodys = []
        for row in rows:
            state = self._slots[row.slot].read()
            if RunKey(row.task_id, row.fence) not in state.claims and not state.claiming:
                nobodys.append(Release(row.task_id, row.fence, "handed_back"))
        if handed_back := self._release(nobodys):
            log.warning("handed back claims that nobody ran", jobs=[str(change.id) for change in handed_back])
        self._kill_stuck()

    def _kill_stuck(self) -> None:
        """Kill children that stay in a claim, and those whose slot stays damaged."""
        now = time.monotonic()
        for slot in self._slots:
            version = slot.version
            known, since = self._claiming_since.get(slot.index, (-1, now))
            state = slot.read()
            if not state.claiming:
                self._claiming_since.pop(slot.index, None)
            elif version != known:
                self._claiming_since[slot.index] = (version, now)
            elif now - since > (STUCK_CLAIM_S if state.known else UNKNOWN_S):
                why = "it is stuck in a claim" if state.known else "nobody can say what it does: its slot is damaged"
                log.warning("killing a child", why=why, pid=slot.pid, slot=slot.index)
                self._children.signal(slot.index, signal.SIGKILL)

    # Ends

    def _give_up_lease(self) -> None:
        """Nobody may run past the lease: kill the children, then give everything back when PostgreSQL answers."""
        self._slots.expire()
        self._children.signal_all(signal.SIGKILL)
        self._await_deaths()
        if self._lease.worker_id is not None:
            self._give_back(self._lease.worker_id, "loss")
        self._lease.restart()

    def _close(self) -> None:
        self._slots.expire()
        self._children.poll()
        self._children.signal_all(signal.SIGKILL)
        self._await_deaths()
        cause: Cause = "loss" if self._slots.draining_since is None else "handed_back"
        give_up = time.monotonic() + LAST_WORDS_S
        while self._lease.worker_id is not None and time.monotonic() < give_up:
            try:
                self._give_back(self._lease.worker_id, cause)
                break
            except StoreUnavailable:
                time.sleep(TICK_S)  # else the keeper does it when the lease is over
        for thread in reversed(self._threads):
            thread.stop()

    def _await_deaths(self) -> None:
        """Wait for those that were killed; whoever takes one of their slots meanwhile has no lease and lives on."""
        doomed = set(self._children.processes)
        while doomed:
            for death in self._children.poll():
                self._escalation.forget(death.slot)
                self._children.bury(death.slot)
                doomed.discard(death.slot)
            if doomed:
                self._children.wait(TICK_S)

    def _give_back(self, worker_id: UUID, cause: Cause) -> None:
        rows = self._db.call(workers.running, [worker_id])
        self._release([Release(row.task_id, row.fence, cause) for row in rows])
        stopping = self._db.call(cancellations.open_cancels, worker_id)
        self._db.call(
            cancellations.complete,
            [CompletedCancel(stop.id, stop.fence, "worker_lost") for stop in stopping],
        )
        self._db.call(workers.leave, worker_id)
        log.info("worker left", worker_id=str(worker_id), given_back=len(rows))

    def _rows(self) -> list[RunningJob]:
        worker_id = self._lease.worker_id
        return [] if worker_id is None else self._db.call(workers.running, [worker_id])

    def _release(self, releases: list[Release]) -> list[Change]:
        changes = self._db.call(
            claims.release,
            releases,
            max_crashes=self._settings.max_crashes,
            max_losses=self._settings.max_losses,
        )
        self._publisher.publish_changes(changes)
        for change in changes:
            if change.ready:
                self._waker.wake(change.queue, 1)
        return changes


def ignore_signals() -> None:
    """The supervisor ends when the main process does, not when a terminal or an operator signals the group."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1)
    os.setpgid(0, 0)
