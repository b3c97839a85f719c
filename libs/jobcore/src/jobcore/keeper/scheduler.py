"""The scheduler, a step of the keeper: it submits the jobs of schedules that are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import QuotaExceeded, StoreUnavailable
from jobcore.models import owned_keys
from jobcore.schedule import Firing, Schedule, fire
from jobcore.store import firings, schedules
from jobcore.store.database import Database
from jobcore.telemetry import logs, metrics

BATCH: Final = 100
BATCHES: Final = 10
"""How many batches one check fires at most, because the keeper has other work."""
SHORTEST_S: Final = 0.02

log = logs.get(__name__)


class Scheduler:
    """Fires due schedules, many in one commit. Any number of schedulers may do so at once (see store/firings.py)."""

    def __init__(self, db: Database, publisher: EventPublisher, limits: Limits) -> None:
        self._db = db
        self._limits = limits
        self._publisher = publisher

    def check(self) -> float:
        """Fire the due schedules; returns the seconds until the next one is due.

        If one cannot be fired, the reason is stored in the schedule, and the others are fired nevertheless.
        """
        for _ in range(BATCHES):
            due = self._db.call(schedules.due, BATCH)
            self._fire([(schedule, firing) for schedule, now in due if (firing := self._firing(schedule, now))])
            if len(due) < BATCH:
                break
        return max(SHORTEST_S, self._db.call(schedules.due_in_s))

    def _firing(self, schedule: Schedule, now: datetime) -> Firing | None:
        try:
            return fire(schedule, now)
        except Exception as error:
            self._fail(schedule, error)
            return None

    def _fire(self, batch: Sequence[tuple[Schedule, Firing]]) -> None:
        if not batch:
            return
        try:
            fired = self._db.call(firings.fire, [firing for _, firing in batch])
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return
            # one refused row must not fail the others
            for each in batch:
                self._fire([each])
            return
        metrics.accepted(fired.jobs)
        self._limits.accepted(fired.accepted)
        self._limits.freed(fired.cancelled)
        self._publisher.publish_changes(fired.cancelled)
        self._publisher.announce()

    def _fail(self, schedule: Schedule, error: Exception) -> None:
        name, owner = owned_keys.name(schedule.plan.name), schedule.plan.owner
        if isinstance(error, QuotaExceeded):  # the owner's affair, and nothing is wrong
            log.warning("a schedule is refused: its owner has used up a quota", schedule=name, owner=owner)
        else:
            log.error("cannot submit a schedule's job", schedule=name, owner=owner, exc_info=error)
        self._db.call(schedules.fail, schedule, f"{type(error).__name__}: {error}")
