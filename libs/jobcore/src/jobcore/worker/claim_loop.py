"""The claim loop of a child: what happens inside the Celery task `work(queue)`.

    work(queue)
      └─ until nothing is ready, the time slice is over, or the worker drains:
           claim     claim up to k jobs durably; send more wake-ups if more is ready than this child claims
           run       run them one after the other while their claims hold; the completer stores each outcome meanwhile
           pace      let some jobs arrive, so that the next claim takes several
      └─ flush       wait until all outcomes are stored, then acknowledge the wake-up

If jobs are left at the end of a slice, the child sends a follow-up wake-up and returns; without Redis it continues. A
child that retires hands back the jobs that it has not started, sends a follow-up wake-up and returns after the flush.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.errors import StoreUnavailable
from jobcore.host import clock
from jobcore.models import Claim, Event
from jobcore.settings import WorkerSettings
from jobcore.store import claims
from jobcore.store.database import Database
from jobcore.supervision.child_state import MAX_CLAIMS, RunKey
from jobcore.supervision.slots import Slot, Slots, StopReason
from jobcore.tasks import Registry
from jobcore.telemetry import logs, metrics
from jobcore.worker.batching import MAX_BATCH, BatchSize
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.completer import Completer
from jobcore.worker.interrupts import Interrupts
from jobcore.worker.outcome_store import Completion, OutcomeStore
from jobcore.worker.output_capture import CapturedStream, of_job
from jobcore.worker.retirement import Retirement
from jobcore.worker.run import JobRun
from jobcore.worker.run_store import RunStore
from jobcore.worker.values import Bounds

SLICE_S: Final = 5.0
FAN_OUT: Final = 2
PACE_PER_JOB_S: Final = 0.001
"""The minimum time between two claims, in seconds per job of the first one: a claim costs as much as ten quick runs, so
it should return several jobs. The first claim after a wake-up, and a child that finds a backlog, do not wait."""
SHORTEST_PACE_S: Final = 0.010
LONGEST_PACE_S: Final = 0.030
STOP_POLL_S: Final = 0.01

log = logs.get(__name__)


class ClaimLoop:
    """Claims and runs the jobs of one child."""

    def __init__(
        self,
        slots: Slots,
        slot: Slot,
        child_claims: ChildClaims,
        *,
        db: Database,
        waker: Waker,
        publisher: EventPublisher,
        registry: Registry,
        settings: WorkerSettings,
        interrupts: Interrupts,
        retirement: Retirement,
        streams: Iterable[CapturedStream] = (),
    ) -> None:
        self._slots = slots
        self._slot = slot
        self._claims = child_claims
        self._db = db
        self._waker = waker
        self._publisher = publisher
        self._registry = registry
        self._settings = settings
        self._interrupts = interrupts
        self._retirement = retirement
        self._streams = streams
        self._batch_size = BatchSize()
        self._quick: list[str] = []
        self._bounds = Bounds.of(settings)
        self._worker_id: UUID | None = None
        self._claim_sent = 0.0
        self._completer = Completer(
            OutcomeStore(db, publisher, settings),
            Limits(db, waker.wake),
            on_completed=child_claims.remove,
            on_handed_back=lambda queue: waker.wake(queue, 1),
        )
        self._completer.start()

    def work(self, queue: str) -> None:
        """Claim and run ready jobs of this queue, until none is left or a time slice is over."""
        if not self._claims.take_slot(self._settings.lease_s):
            return
        slice_end = time.monotonic() + SLICE_S
        try:
            while self._may_claim():
                claimed_at, self._claim_sent = time.monotonic(), clock.now()
                batch = self._claim(queue)
                if not batch:
                    return
                claimed = len(batch)
                self._run_all(batch)
                _pace(claimed, claimed_at)
                if time.monotonic() > slice_end:
                    if self._waker.publish(queue):
                        return
                    slice_end = time.monotonic() + SLICE_S
            if self._retirement.why is not None:
                self._waker.publish(queue)
        except BaseException:
            # otherwise this child would keep claims that nobody runs
            self._retirement.ask("the claim loop failed")
            raise
        finally:
            self._completer.flush()

    def _may_claim(self) -> bool:
        return not self._is_leaving() and clock.now() < self._slots.deadline

    def _is_leaving(self) -> bool:
        return self._slots.draining_since is not None or self._retirement.why is not None

    def _claim(self, queue: str) -> deque[Claim]:
        self._worker_id = worker_id = self._slots.worker_id
        if worker_id is None:
            return deque()
        self._completer.flush(down_to=MAX_CLAIMS - MAX_BATCH)
        self._quick = self._batch_size.quick()
        self._claims.claiming()
        began = time.monotonic()
        try:
            taken = self._db.call(
                claims.claim,
                queue=queue,
                worker_id=worker_id,
                slot=self._slot.index,
                limit=self._batch_size.next(),
                quick=self._quick,
                types=self._registry.names(),
                lease_s=self._settings.lease_s,
            )
        except Exception as error:
            # if only the reply was lost, this child has claims that it does not know; the supervisor hands them back
            self._claims.claimed(())
            if not isinstance(error, StoreUnavailable):
                raise
            log.warning("cannot claim jobs: the database is unavailable", error=str(error))
            return deque()
        self._claims.claimed(taken.claims)
        metrics.claimed(queue, taken.claims, time.monotonic() - began)
        self._batch_size.claimed(len(taken.claims), more=taken.more)
        if taken.more:
            self._waker.wake(queue, FAN_OUT)
        return deque(taken.claims)

    def _run_all(self, batch: deque[Claim]) -> None:
        if len(batch) > 1:
            self._completer.watch(batch)
        while batch:
            try:
                claim = batch.popleft()
            except IndexError:
                return  # the completer has taken the last one
            if self._is_leaving():
                self._completer.hand_back(claim)
            else:
                self._begin(claim)

    def _begin(self, claim: Claim) -> None:
        key = RunKey(claim.id, claim.fence)
        self._claims.begin(key, claim.timeout_s)
        if self._is_ours(claim):
            self._run(claim)
        else:
            self._claims.end()
            self._completer.hand_back(claim)
        self._await_stop_withdrawn(key)

    def _is_ours(self, claim: Claim) -> bool:
        """True if the claim still holds: a child that was frozen since it claimed may have lost it to another run."""
        now = clock.now()
        if self._worker_id is None or not self._slots.lease.holds(self._worker_id, now):
            return False
        if now < self._claim_sent + self._settings.heartbeat_s:
            return True
        try:
            return self._db.call(claims.holds, claim.id, claim.fence, self._worker_id)
        except StoreUnavailable:
            return False

    def _run(self, claim: Claim) -> None:
        store = RunStore(
            claim,
            self._slot,
            self._db,
            self._completer.store_events,
            lambda event: self._publisher.publish(claim.id, [event]),
            self._bounds,
        )
        if claim.task_type not in self._quick:
            # streams of a quick job read this event from PostgreSQL when the job ends
            self._publisher.publish(claim.id, [_running(claim, self._worker_id)])
        started = time.monotonic()
        run = JobRun(store, self._registry, self._interrupts)
        with of_job(str(claim.id), self._streams):
            outcome = run.execute()
        self._claims.end()
        if self._interrupts.tainted:
            self._retirement.ask("a run may have left the process in a bad state")
        if outcome is None:
            self._completer.hand_back(claim)
        else:
            duration_s = time.monotonic() - started
            self._completer.finish(Completion(outcome, run.stop_method, claim.traceparent, store))
            self._batch_size.record(claim.task_type, duration_s)
            metrics.ran(claim, outcome.status, duration_s)

    def _await_stop_withdrawn(self, key: RunKey) -> None:
        """Start no run while the supervisor may still kill this child for the run that has just ended."""
        while self._slot.stop_reason(key) is not StopReason.NONE and clock.now() < self._slots.deadline:
            time.sleep(STOP_POLL_S)


def _pace(claimed: int, claimed_at: float) -> None:
    if claimed < MAX_BATCH:
        pace_s = min(max(claimed * PACE_PER_JOB_S, SHORTEST_PACE_S), LONGEST_PACE_S)
        time.sleep(max(0.0, claimed_at + pace_s - time.monotonic()))


def _running(claim: Claim, worker_id: UUID | None) -> Event:
    return Event(
        claim.seq, claim.claimed_at, claim.attempt, "state", {"status": "RUNNING", "worker_id": str(worker_id)}
    )
