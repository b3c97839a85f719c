"""Runs the jobs that carry out bulk actions, in a thread of the keeper that leads.

A worker could not do this: no worker serves a queue in every deployment, but every API and every supervisor has a
keeper. While such jobs wait, the thread registers as a worker, and so it has a lease, claims and fences like any other:
if its process dies, the job returns to its queue, and the next keeper continues at its checkpoint.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.models import BULK_QUEUE, BULK_TYPES, Claim, JobFilter, Outcome, Tally
from jobcore.settings import CoreSettings
from jobcore.states import ErrorKind, Status
from jobcore.store import bulk_jobs, cancellations, claims, json_text, workers
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.database import Database
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.outcomes import finish
from jobcore.store.releases import Release, release
from jobcore.telemetry import logs, traces

CHECK_S: Final = 0.5
BEAT_S: Final = 2.0
ANNOUNCE_S: Final = 1.0
"""How often a run stores an event with its progress, in seconds."""

log = logs.get(__name__)


class BulkActions(BackgroundThread):
    """The thread that runs these jobs, one after the other, while `leads` returns True."""

    def __init__(
        self, settings: CoreSettings, waker: Waker, publisher: EventPublisher, leads: Callable[[], bool]
    ) -> None:
        super().__init__("bulk-actions")
        self._settings = settings
        self._waker = waker
        self._publisher = publisher
        self._leads = leads
        self._db = Database(
            settings.database_url, schema=settings.database_schema, name="longrun-bulk-actions", pool_size=1
        )
        self._worker: UUID | None = None
        self._beat_at = 0.0
        self._outage = logs.Outage(log, "bulk actions paused: the database is unavailable", "bulk actions resumed")

    def run(self) -> None:
        """Check again and again until stopped."""
        with traces.quiet():
            while not self.pause(CHECK_S):
                try:
                    if self._leads() or self._worker:
                        self.check()
                    self._outage.end()
                except StoreUnavailable as error:
                    self._outage.begin(error)
            self._leave()

    def check(self) -> None:
        """Run the jobs that wait. Raises StoreUnavailable."""
        while not self.stopping and self._leads() and self._db.call(bulk_jobs.wait):
            worker_id = self._registered()
            taken = self._db.call(
                claims.claim,
                queue=BULK_QUEUE,
                worker_id=worker_id,
                slot=0,
                limit=1,
                quick=(),
                types=list(BULK_TYPES),
                lease_s=self._settings.lease_s,
            )
            if not taken.claims:
                return  # the queue has a limit, or the lease is over and the next check registers again
            self._run_job(taken.claims[0])
        self._leave()

    def _run_job(self, claim: Claim) -> None:
        """Run a job to its end, unless it is cancelled or the thread is stopped."""
        try:
            outcome = self._outcome(claim)
        except StoreUnavailable:
            return  # the thread is stopping: the job is rescued
        except Exception as error:
            log.exception("a bulk action failed", task_id=str(claim.id))
            outcome = _failed(claim, error)
        if outcome:
            self._until_available(lambda: self._publisher.publish_changes(self._db.call(finish, [outcome])))

    def _outcome(self, claim: Claim) -> Outcome | None:
        """Take batch after batch; None if the job is not this run's any more."""
        action = BULK_TYPES[claim.task_type]
        given = json_text.loads(claim.input)
        wanted, total = JobFilter.of_parameters(given["filter"]), given.get("expected")
        announced = 0.0
        while not self.stopping:
            announce = time.monotonic() - announced > ANNOUNCE_S
            step = self._until_available(
                lambda: self._db.call(bulk_jobs.step, claim, action, wanted, total, announce=announce)  # noqa: B023
            )
            if step is None:
                self._until_available(lambda: self._stopped(claim))
                return None
            announced = time.monotonic() if step.event else announced
            self._announce(claim, step)
            if step.ended:
                return Outcome(claim.id, claim.fence, Status.SUCCESS, result=_result(step.tally, given))
            self._keep_lease()
        self._hand_back(claim)
        return None

    def _announce(self, claim: Claim, step: bulk_jobs.Step) -> None:
        self._publisher.publish_changes(step.changes)
        if step.event:
            self._publisher.publish(claim.id, [step.event])
        for queue, count in Counter(change.queue for change in step.changes if change.ready).items():
            self._waker.wake(queue, count)

    def _stopped(self, claim: Claim) -> None:
        """Complete the receipt of the run if it was cancelled."""
        completed = [CompletedCancel(claim.id, claim.fence, "cooperative")]
        self._publisher.publish_stops(self._db.call(cancellations.complete, completed))

    def _hand_back(self, claim: Claim) -> None:
        handed_back = [Release(claim.id, claim.fence, "handed_back")]
        bounds: dict[str, Any] = {"max_crashes": self._settings.max_crashes, "max_losses": self._settings.max_losses}
        self._publisher.publish_changes(self._db.call(release, handed_back, **bounds))

    def _until_available(self, work: Callable[[], Any]) -> Any:
        """Do this work, again after each outage of the database; work that was committed must do no harm again.

        Raises StoreUnavailable if the thread is stopped during an outage.
        """
        while True:
            self.beat()
            try:
                done = work()
                self._outage.end()
                return done
            except DedupeKeyInUse:
                self.pause(CHECK_S)
            except StoreUnavailable as error:
                self._outage.begin(error)
                if self.pause(CHECK_S):
                    raise

    def _registered(self) -> UUID:
        """The id of this worker, whose lease is renewed if that is due."""
        self._keep_lease()
        if self._worker is None:
            worker_id = uuid7()
            self._db.call(
                workers.register,
                worker_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                queues=(BULK_QUEUE,),
                concurrency=1,
                version=version("longrun-jobcore"),
                task_types=list(BULK_TYPES),
            )
            self._worker, self._beat_at = worker_id, time.monotonic()
        return self._worker

    def _keep_lease(self) -> None:
        if self._worker is None or time.monotonic() - self._beat_at < BEAT_S:
            return
        try:
            if not self._db.call(workers.beat, self._worker, draining=False):
                self._worker = None  # declared dead: its run is rescued, and the next batch finds no claim
            self._beat_at = time.monotonic()
        except StoreUnavailable as error:
            self._outage.begin(error)

    def _leave(self) -> None:
        if self._worker is not None:
            try:
                self._db.call(workers.leave, self._worker)
            except LongrunError as error:
                log.warning("a bulk worker could not say that it leaves", error=str(error))
            self._worker = None


def _result(tally: Tally, given: dict[str, Any]) -> dict[str, Any]:
    skipped = tally.skips + Counter(given.get("skipped") or {})
    return {
        "matched": tally.changed + skipped.total(),
        "changed": tally.changed,
        "skipped": {str(status): count for status, count in sorted(skipped.items())},
        "exact": given.get("exact", True),
    }


def _failed(claim: Claim, error: Exception) -> Outcome:
    kind = ErrorKind.INVALID if isinstance(error, KeyError | TypeError | ValueError) else ErrorKind.RAISED
    what = {"kind": kind, "type": type(error).__name__, "message": str(error)[:1000], "attempt": claim.attempt}
    return Outcome(claim.id, claim.fence, Status.FAILED, error=what)
