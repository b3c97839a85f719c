"""Stores the ends of runs: outcomes, hand-backs, and the receipts of cancelled runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.models import Change, Outcome
from jobcore.settings import WorkerSettings
from jobcore.states import ErrorKind, Status
from jobcore.store import cancellations
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.database import Database
from jobcore.store.outcomes import finish
from jobcore.store.releases import Release, release
from jobcore.supervision.child_state import RunKey
from jobcore.telemetry import logs, traces
from jobcore.worker.event_buffer import printable, refusal_line

MESSAGE_MAX: Final = 2_000

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of a run: its outcome, how it stopped (for the receipt if its job was cancelled), and its trace."""

    outcome: Outcome
    stop_method: str
    traceparent: str | None

    @property
    def key(self) -> RunKey:
        """The run that ended."""
        return RunKey(self.outcome.id, self.outcome.fence)


class OutcomeStore:
    """Stores the ends of a child's runs. Every method raises StoreUnavailable, and may then be called again."""

    def __init__(self, db: Database, publisher: EventPublisher, settings: WorkerSettings) -> None:
        self._db = db
        self._publisher = publisher
        self._settings = settings

    def finish(self, completions: Sequence[Completion]) -> list[Change]:
        """Store outcomes in one durable transaction; returns the transitions of those that the fence accepted."""
        outcomes = [completion.outcome for completion in completions]
        with traces.within(next((each.traceparent for each in completions if each.traceparent), None)):
            try:
                changes = self._db.call(finish, outcomes)
            except StoreUnavailable:
                raise
            except Exception:  # PostgreSQL refuses one of them
                changes = [change for outcome in outcomes for change in self._finish_alone(outcome)]
        self._end(changes, {completion.key: completion.stop_method for completion in completions})
        return changes

    def hand_back(self, keys: Sequence[RunKey]) -> None:
        """Return claims to their queues in one durable transaction."""
        changes = self._db.call(
            release,
            [Release(*key, "handed_back") for key in keys],
            max_crashes=self._settings.max_crashes,
            max_losses=self._settings.max_losses,
        )
        self._end(changes, dict.fromkeys(keys, "cooperative"))

    def _end(self, changes: Sequence[Change], stop_methods: Mapping[RunKey, str]) -> None:
        """Publish what was stored. What the fence refused may be cancelled: complete its receipt."""
        self._publisher.publish_changes(changes)
        stored = {change.id for change in changes}
        refused = [CompletedCancel(*key, method) for key, method in stop_methods.items() if key.id not in stored]
        self._db.call(cancellations.complete, refused)

    def _finish_alone(self, outcome: Outcome) -> list[Change]:
        """Store one outcome: without its events if PostgreSQL refuses it, as FAILED if it refuses the result too."""
        try:
            return self._db.call(finish, [outcome])
        except StoreUnavailable:
            raise
        except Exception as error:
            refused = error
        try:
            return self._db.call(finish, [_without_events(outcome, refused)])
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("cannot store a result; its job fails", job_id=str(outcome.id))
            return self._db.call(finish, [_unstorable(outcome, error)])


def _without_events(outcome: Outcome, error: Exception) -> Outcome:
    return replace(outcome, progress=None, events=tuple(refusal_line(event, error) for event in outcome.events[-1:]))


def _unstorable(outcome: Outcome, error: Exception) -> Outcome:
    message = printable(f"PostgreSQL cannot store the result: {error}")[:MESSAGE_MAX]
    return Outcome(
        outcome.id,
        outcome.fence,
        Status.FAILED,
        error={"kind": ErrorKind.INVALID, "type": type(error).__name__, "message": message, "attempt": None},
    )
