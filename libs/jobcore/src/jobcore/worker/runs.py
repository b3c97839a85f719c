"""What every lane does at the begin and at the end of a run: its store, its live event, its outcome, its measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.host import clock
from jobcore.models import Claim, Event, Outcome
from jobcore.settings import WorkerSettings
from jobcore.store import claims
from jobcore.store.database import Database
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.telemetry import metrics
from jobcore.worker import run_threads
from jobcore.worker.batching import BatchSize
from jobcore.worker.completer import Completer
from jobcore.worker.outcome_store import Completion
from jobcore.worker.retirement import Retirement
from jobcore.worker.run import JobRun
from jobcore.worker.run_store import Calls, RunStore
from jobcore.worker.values import Bounds


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim returned."""

    claims: Sequence[Claim]
    worker_id: UUID
    """The worker's id under which they are claimed."""
    sent_at: float
    """When the claim was sent (`jobcore.host.clock`)."""
    quick: Sequence[str]
    """The task types whose runs are so short that several make a batch."""
    more: bool = False
    """Whether more jobs were ready."""
    backlog: bool = False
    """Whether more were ready than the claim could take, so that the next one finds some without a wait."""


class Ended(NamedTuple):
    """A run whose code has ended; it is handed back if it has no outcome."""

    claim: Claim
    job: JobRun
    outcome: Outcome | None
    duration_s: float
    tainted: bool
    """Whether it may have left this process in a bad state."""


class Runs:
    """Begins and ends the runs of one child."""

    def __init__(
        self,
        slots: Slots,
        slot: Slot,
        completer: Completer,
        *,
        db: Database,
        publisher: EventPublisher,
        settings: WorkerSettings,
        retirement: Retirement,
        batch_size: BatchSize,
    ) -> None:
        self._slots = slots
        self._slot = slot
        self._completer = completer
        self._db = db
        self._publisher = publisher
        self._heartbeat_s = settings.heartbeat_s
        self._retirement = retirement
        self._batch_size = batch_size
        self._bounds = Bounds.of(settings)

    def store(self, claim: Claim, db: Calls) -> RunStore:
        """Where a run stores what it says."""
        return RunStore(
            claim,
            self._slot,
            db,
            self._completer.store_events,
            lambda event: self._publisher.publish(claim.id, [event]),
            self._bounds,
        )

    def may_begin(self, claim: Claim, claimed: Claimed) -> bool:
        """True, and streams hear of it, if the claim still holds.

        A child that was frozen since it claimed may have lost it to another run.
        """
        if not self._is_ours(claim, claimed):
            return False
        if claim.task_type not in claimed.quick:
            # streams of a quick job read this event from PostgreSQL when the job ends
            self._publisher.publish(claim.id, [_running(claim, claimed.worker_id)])
        return True

    def _is_ours(self, claim: Claim, claimed: Claimed) -> bool:
        now = clock.now()
        if not self._slots.lease.holds(claimed.worker_id, now):
            return False
        if now < claimed.sent_at + self._heartbeat_s:
            return True
        try:
            return self._db.call(claims.holds, claim.id, claim.fence, claimed.worker_id)
        except StoreUnavailable:
            return False

    def hand_back(self, claim: Claim) -> None:
        """Return a claim to its queue, because its run did not begin."""
        self._completer.hand_back(claim)

    def end(self, ended: Ended) -> None:
        """Have the outcome of a run stored, or hand it back; its slot no longer shows it."""
        if ended.tainted:
            self._retirement.ask("a run may have left the process in a bad state")
        elif run_threads.too_many_left():
            self._retirement.ask("runs that have ended left many threads")
        if ended.outcome is None:
            self._completer.hand_back(ended.claim)
        else:
            self._completer.finish(
                Completion(ended.outcome, ended.job.stop_method, ended.claim.traceparent, ended.job.store)
            )
            self._batch_size.record(ended.claim.task_type, ended.duration_s)
            metrics.ran(ended.claim, ended.outcome.status, ended.duration_s)


def _running(claim: Claim, worker_id: UUID) -> Event:
    return Event(
        claim.seq, claim.claimed_at, claim.attempt, "state", {"status": "RUNNING", "worker_id": str(worker_id)}
    )
