"""A worker's lease, kept by its supervisor: one heartbeat renews it for everything that the worker runs.

The deadline counts from before the heartbeat is sent, on a clock that also counts the time of a suspend. It is in
shared memory, so that every process of the worker knows when to stop. A lost lease is never renewed: the worker
registers again under a new id.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.errors import StoreUnavailable
from jobcore.host import clock
from jobcore.settings import WorkerSettings
from jobcore.store import workers
from jobcore.store.database import Database
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs

RETRY_S: Final = 1.0

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a worker registers with."""

    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    jobs_per_child: int
    version: str
    task_types: tuple[str, ...]
    lanes: tuple[str, ...]
    """The lane of each of `task_types`, in the same order."""


class Lease:
    """Registers the worker, renews its lease, and notices when it is lost."""

    def __init__(self, db: Database, slots: Slots, settings: WorkerSettings, identity: Identity) -> None:
        self._db = db
        self._slots = slots
        self._settings = settings
        self._identity = identity
        self._outage = logs.Outage(log, "no heartbeat: the database is unavailable", "the lease is renewed again")
        self._due = 0.0
        self._sent_draining = False
        self._declared_dead = False
        self.worker_id: UUID | None = None

    def renew(self) -> bool:
        """Renew the lease if a heartbeat is due; False from its loss until `restart`."""
        now = clock.now()
        draining = self._slots.draining_since is not None
        if self._declared_dead or (self.worker_id is not None and now > self._slots.deadline):
            return False
        if now < self._due and draining == self._sent_draining:
            return True
        self._due = now + self._settings.heartbeat_s
        try:
            if self.worker_id is None:
                self.worker_id = self._register(draining)
            elif not self._db.call(workers.beat, self.worker_id, draining=draining):
                log.error("this worker was declared dead", worker_id=str(self.worker_id))
                self._declared_dead = True
                return False
        except StoreUnavailable as error:
            self._outage.begin(error)
            self._due = clock.now() + min(RETRY_S, self._settings.heartbeat_s)
            return True
        self._outage.end()
        self._sent_draining = draining
        self._slots.renew(self.worker_id, now + self._settings.lease_s)
        return True

    def keep(self) -> None:
        """Renew a lease in the middle of something that takes long. A problem is told by the next `renew`."""
        if self.worker_id is not None:
            with suppress(Exception):
                self.renew()

    def restart(self) -> None:
        """Forget the lost lease; the next `renew` registers under a new id."""
        self.worker_id = None
        self._declared_dead = False
        self._due = 0.0

    def _register(self, draining: bool) -> UUID:
        worker_id = uuid7()
        self._db.call(
            workers.register,
            worker_id,
            host=self._identity.host,
            pid=self._identity.pid,
            queues=self._identity.queues,
            concurrency=self._identity.concurrency,
            jobs_per_child=self._identity.jobs_per_child,
            version=self._identity.version,
            state="draining" if draining else "active",
            task_types=self._identity.task_types,
            lanes=self._identity.lanes,
        )
        log.info("worker registered", worker_id=str(worker_id), queues=",".join(self._identity.queues))
        return worker_id
