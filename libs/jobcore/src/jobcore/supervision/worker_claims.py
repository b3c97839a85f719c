"""A worker's claims as PostgreSQL has them: what it runs, and what it gives back to the queues."""

from __future__ import annotations

from collections.abc import Sequence

from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.models import Change, RunningJob
from jobcore.settings import CoreSettings
from jobcore.store import cancellations, releases, workers
from jobcore.store.cancellations import CompletedCancel, OpenCancel
from jobcore.store.database import Database
from jobcore.store.releases import Cause, Release
from jobcore.supervision.lease import Lease
from jobcore.telemetry import logs

log = logs.get(__name__)


class WorkerClaims:
    """Reads and releases the claims under the worker's id; without a lease there are none.

    Every method raises StoreUnavailable if PostgreSQL does not answer.
    """

    def __init__(
        self, db: Database, lease: Lease, publisher: EventPublisher, waker: Waker, settings: CoreSettings
    ) -> None:
        self._db = db
        self._lease = lease
        self._publisher = publisher
        self._waker = waker
        self._settings = settings

    def running(self) -> list[RunningJob]:
        """The worker's RUNNING jobs."""
        worker_id = self._lease.worker_id
        return [] if worker_id is None else self._db.call(workers.running, [worker_id])

    def release(self, ended: Sequence[Release]) -> list[Change]:
        """End these claims: each job returns to its queue, or ends if it crashed or was lost too often."""
        changes = self._db.call(
            releases.release,
            ended,
            max_crashes=self._settings.max_crashes,
            max_losses=self._settings.max_losses,
        )
        self._publisher.publish_changes(changes)
        for change in changes:
            if change.ready:
                self._waker.wake(change.queue, 1)
        return changes

    def open_cancels(self) -> list[OpenCancel]:
        """The worker's cancelled runs without a complete receipt."""
        worker_id = self._lease.worker_id
        return [] if worker_id is None else self._db.call(cancellations.open_cancels, worker_id)

    def acknowledge_cancels(self, begun: Sequence[OpenCancel]) -> None:
        """Write into the receipts that the worker stops these runs."""
        if begun:
            self._db.call(cancellations.acknowledge, begun)

    def complete_cancels(self, completed: Sequence[CompletedCancel]) -> None:
        """Write into the receipts how the runs ended."""
        self._publisher.publish_stops(self._db.call(cancellations.complete, completed))

    def leave(self, cause: Cause) -> None:
        """Release every claim, complete every receipt, and end the worker's registration."""
        worker_id = self._lease.worker_id
        if worker_id is None:
            return
        running = self.running()
        self.release([Release(job.task_id, job.fence, cause) for job in running])
        self.complete_cancels([CompletedCancel(each.id, each.fence, "worker_lost") for each in self.open_cancels()])
        self._db.call(workers.leave, worker_id)
        log.info("worker left", worker_id=str(worker_id), given_back=len(running))
