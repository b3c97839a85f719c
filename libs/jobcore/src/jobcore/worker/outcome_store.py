"""Stores the ends of runs: outcomes, hand-backs, and the receipts of cancelled runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.models import Change, Outcome
from jobcore.settings import WorkerSettings
from jobcore.states import ErrorKind, Status
from jobcore.store import cancellations
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.database import Database, RowRefused
from jobcore.store.outcomes import finish
from jobcore.store.releases import Release, release
from jobcore.supervision.child_state import RunKey
from jobcore.telemetry import logs, traces
from jobcore.worker import event_flush
from jobcore.worker.event_buffer import printable
from jobcore.worker.run_store import RunStore

MESSAGE_MAX: Final = 2_000

log = logs.get(__name__)


class Completion(NamedTuple):
    """The end of a run: its outcome, how it stopped (for the receipt if its job was cancelled), and its trace."""

    outcome: Outcome
    stop_method: str
    traceparent: str | None
    run: RunStore | None = None
    """What stores the events of the run; None for a run without any."""

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
        settled = [self._settled(completion) for completion in completions]
        with traces.within(next((each.traceparent for each in completions if each.traceparent), None)):
            try:
                changes = self._db.call(finish, [completion.outcome for completion in settled])
            except StoreUnavailable:
                raise
            except Exception:  # PostgreSQL refuses one of them
                changes = [change for completion in settled for change in self._finish_alone(completion)]
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

    def store_events(self, runs: Sequence[RunStore]) -> list[RunStore]:
        """Store what these runs have said, in one commit; returns those that have more to store."""
        return event_flush.flush(self._db.call, runs)

    def _end(self, changes: Sequence[Change], stop_methods: Mapping[RunKey, str]) -> None:
        """Publish what was stored. What the fence refused may be cancelled: complete its receipt."""
        self._publisher.publish_changes(changes)
        stored = {change.id for change in changes}
        refused = [CompletedCancel(*key, method) for key, method in stop_methods.items() if key.id not in stored]
        if refused:
            self._publisher.publish_stops(self._db.call(cancellations.complete, refused))

    def _settled(self, completion: Completion) -> Completion:
        """The completion once all earlier events of its run are stored: as FAILED if PostgreSQL refused some output."""
        run = completion.run
        if run is None:
            return completion
        run.settle()
        outcome = _without_events(completion.outcome) if run.last_events_apart else completion.outcome
        if run.writer.refused_output is not None and outcome.status is Status.SUCCESS:
            outcome = _invalid(outcome, f"PostgreSQL cannot store a piece of the output: {run.writer.refused_output}")
        return completion if outcome is completion.outcome else completion._replace(outcome=outcome)

    def _finish_alone(self, completion: Completion) -> list[Change]:
        """Store one outcome: after its events if PostgreSQL refuses it, as FAILED if it refuses the result too."""
        try:
            return self._db.call(finish, [completion.outcome])
        except StoreUnavailable:
            raise
        except Exception as error:
            log.warning("cannot store an outcome with its events", job_id=str(completion.key.id), error=str(error))
        outcome = self._events_apart(completion)
        try:
            return self._db.call(finish, [outcome])
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("cannot store a result; its job fails", job_id=str(outcome.id))
            return self._db.call(finish, [_invalid(outcome, f"PostgreSQL cannot store the result: {error}")])

    def _events_apart(self, completion: Completion) -> Outcome:
        """The outcome without its events, which are stored one by one, as far as PostgreSQL takes them."""
        if completion.run is None:
            return _without_events(completion.outcome)
        completion.run.set_last_events_apart(completion.outcome)
        return self._settled(completion).outcome


def _without_events(outcome: Outcome) -> Outcome:
    return outcome._replace(progress=None, events=(), output_bytes=0)


def _invalid(outcome: Outcome, message: str) -> Outcome:
    error = {
        "kind": ErrorKind.INVALID,
        "type": RowRefused.__name__,
        "message": printable(message)[:MESSAGE_MAX],
        "attempt": None,
    }
    return outcome._replace(status=Status.FAILED, error=error, result=None, result_bytes=0, retry_s=None)
