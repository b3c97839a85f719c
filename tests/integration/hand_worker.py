"""A worker played by hand: it claims, tells and finishes jobs through the store as a real one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from uuid_utils.compat import uuid7

from jobcore.broker.event_publisher import EventPublisher
from jobcore.models import Claim, Event, NewEvent, Outcome
from jobcore.settings import redis_url
from jobcore.states import Status
from jobcore.store import cancellations, claims, workers
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.database import Database
from jobcore.store.outcomes import finish
from jobcore.tasks import load_tasks
from tests.integration.appending import append_events
from tests.waiting import until


class HandWorker:
    """One registered worker on one queue; what it stores it also announces, unless told to be quiet."""

    def __init__(
        self, database_url: str, broker_url: str, queue: str = "default", *, task_types: Sequence[str] | None = None
    ) -> None:
        self.db = Database(database_url, name="hand-worker", pool_size=1)
        self.publisher = EventPublisher(redis_url.parse(broker_url))
        self.publisher.start()
        self.queue = queue
        self.id = uuid7()
        self.db.call(
            workers.register,
            self.id,
            host="here",
            pid=1,
            queues=[queue],
            concurrency=1,
            version="test",
            task_types=task_types or load_tasks().names(),
        )

    def claim(self) -> Claim:
        """Take the first job of the queue; wait for it if another transaction holds it."""
        return until(self._claim, what="a job of the queue")

    def _claim(self) -> Claim | None:
        taken = self.db.call(
            claims.claim,
            queue=self.queue,
            worker_id=self.id,
            slot=0,
            limit=1,
            quick=[],
            types=load_tasks().names(),
            lease_s=3600.0,
        )
        return next(iter(taken.claims), None)

    def say(self, claim: Claim, kind: str, data: Mapping[str, Any], *, quiet: bool = False) -> int:
        """Store one event of a run; returns its seq."""
        appended = self.db.call(append_events, claim.id, claim.fence, [NewEvent(kind, data)])
        assert appended is not None
        assert appended.last_seq is not None
        if not quiet:
            event = Event(appended.last_seq, appended.at, claim.attempt, kind, data)
            self.publisher.publish(claim.id, [event])
        return appended.last_seq

    def log(self, claim: Claim, message: str, *, quiet: bool = False) -> int:
        """Store one line of a run's log; returns its seq."""
        return self.say(claim, "log", {"level": "info", "message": message}, quiet=quiet)

    def progress(self, claim: Claim, done: float) -> None:
        """Announce progress that is not stored."""
        data = {"done": done, "total": 10, "message": None}
        self.publisher.publish(claim.id, [Event(None, datetime.now(UTC), claim.attempt, "progress", data)])

    def finish(self, claim: Claim, result: Any = None, *, quiet: bool = False) -> None:
        """End a run with success."""
        outcome = Outcome(claim.id, claim.fence, Status.SUCCESS, result=result)
        changes = self.db.call(finish, [outcome])
        if not quiet:
            self.publisher.publish_changes(changes)

    def fail(self, claim: Claim, message: str) -> None:
        """End a run for good."""
        error = {"kind": "raised", "type": "ValueError", "message": message, "attempt": claim.attempt}
        outcome = Outcome(claim.id, claim.fence, Status.FAILED, error=error)
        self.publisher.publish_changes(self.db.call(finish, [outcome]))

    def stopped(self, job_id: UUID, fence: int, method: str, *, quiet: bool = False) -> None:
        """Complete the receipt of a cancelled run."""
        completed = self.db.call(cancellations.complete, [CompletedCancel(job_id, fence, method)])
        if not quiet:
            self.publisher.publish_stops(completed)

    def close(self) -> None:
        """End the thread and the connection."""
        self.publisher.stop()
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
