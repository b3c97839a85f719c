"""The completer: a child's helper thread that stores what runs leave behind while the next job already runs.

    main thread                      thread "completer"
    ───────────                      ──────────────────
    claim a batch ──── unstarted ──▶ after 50 ms: pop what is left, hand it back
    pop, run     ───── outcome ────▶ store all outcomes that wait, in one durable transaction
    ctx.log()    ───── note ───────▶ after 50 ms: append to the job's story
    end of slice ───── flush() ────▶ … wait until nothing is left to store

Both threads take jobs from the same deque: whoever popped a job owns it. While PostgreSQL is away outcomes are kept
and tried again; the lease's end, not this thread, decides when to give up.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from jobcore.admission.limits import Limits
from jobcore.broker.event_publisher import EventPublisher
from jobcore.errors import StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.error_budget import ErrorBudget
from jobcore.models import Change, Claim, Outcome
from jobcore.settings import WorkerSettings
from jobcore.states import ErrorKind, Status
from jobcore.store import cancellations, claims
from jobcore.store.cancellations import CompletedCancel
from jobcore.store.claims import Release
from jobcore.store.database import Database
from jobcore.supervision.child_state import RunKey
from jobcore.telemetry import logs, traces
from jobcore.worker import watchdog
from jobcore.worker.event_buffer import printable, refusal_line
from jobcore.worker.run_store import RunStore

HAND_BACK_S: Final = 0.05
EVENTS_S: Final = 0.05
RETRY_S: Final = 0.5
PATIENCE_S: Final = 5.0
BATCH_BYTES: Final = 16 * 2**20
"""Results that are stored by one statement: its text is held several times over, here and in PostgreSQL."""
MESSAGE_MAX: Final = 2_000

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Completion:
    """How a run stopped, for the receipt should its job be cancelled meanwhile, and the trace it belongs to."""

    stop_method: str
    traceparent: str | None


class Completer(BackgroundThread):
    """Stores outcomes, hand-backs and notes of one child. `on_completed` hears of claims it no longer answers for."""

    def __init__(
        self,
        db: Database,
        publisher: EventPublisher,
        settings: WorkerSettings,
        on_completed: Callable[[list[RunKey]], None],
        on_handed_back: Callable[[str], None],
        limits: Limits,
    ) -> None:
        super().__init__("completer")
        self._db = db
        self._publisher = publisher
        self._settings = settings
        self._on_completed = on_completed
        self._on_handed_back = on_handed_back
        self._limits = limits
        self._changed = threading.Condition()
        self._outcomes: list[Outcome] = []
        self._releases: list[tuple[Release, str]] = []
        self._completions: dict[RunKey, Completion] = {}
        self._events_of: RunStore | None = None
        self._events_due = 0.0
        self._batch: deque[Claim] = deque()
        self._batch_due = 0.0
        self._storing = False
        self._error_budget = ErrorBudget("storing results", PATIENCE_S)
        self._outage = logs.Outage(log, "results wait: the database is away", "results are stored again")

    def on_stop(self) -> None:
        """Wake the thread, which stores what is due and then ends."""
        with self._changed:
            self._changed.notify()

    def on_stall(self) -> None:
        """End this child, because the supervisor then returns its jobs to their queues."""
        _end_child()

    def watch(self, batch: deque[Claim]) -> None:
        """Hand back what of this batch is still unstarted after HAND_BACK_S seconds."""
        with self._changed:
            self._batch, self._batch_due = batch, time.monotonic() + HAND_BACK_S
            self._changed.notify()

    def finish(self, outcome: Outcome, completion: Completion) -> None:
        """Store an outcome soon."""
        with self._changed:
            self._outcomes.append(outcome)
            self._completions[_key(outcome)] = completion
            self._events_of = None
            self._changed.notify()

    def hand_back(self, claim: Claim) -> None:
        """Give a claim back: nobody runs it."""
        with self._changed:
            self._releases.append((Release(claim.id, claim.fence, "handed_back"), claim.queue))
            self._events_of = None
            self._changed.notify()

    def store_events(self, store: RunStore) -> None:
        """Store the events in this run's buffer within EVENTS_S seconds."""
        if self._events_of is not store:
            with self._changed:
                self._events_of, self._events_due = store, time.monotonic() + EVENTS_S
                self._changed.notify()

    def flush(self, down_to: int = 0) -> None:
        """Wait until no more than `down_to` jobs have to be stored."""
        with self._changed:
            self._changed.wait_for(lambda: self._unstored() <= down_to)

    def _unstored(self) -> int:
        return len(self._outcomes) + len(self._releases) + self._storing

    def run(self) -> None:
        """Store what is due, until stopped and nothing is due."""
        while True:
            with self._changed:
                self._storing = False
                self._changed.notify_all()
                self.rest()
                while not self._due():
                    if self.stopping:
                        return
                    self._changed.wait(self._patience())
                self._storing = True
            try:
                for step in (self._hand_back_late, self._store_outcomes, self._store_releases, self._store_events):
                    self.beat()
                    step()
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)
                self.pause(RETRY_S)
            except Exception as error:
                if not self._error_budget.allows(error):
                    log.error("this child cannot store results: it ends, its jobs run elsewhere")
                    _end_child()
                self.pause(RETRY_S)

    def _due(self) -> bool:
        now = time.monotonic()
        return bool(
            self._outcomes
            or self._releases
            or (self._batch and now >= self._batch_due)
            or (self._events_of and now >= self._events_due)
        )

    def _patience(self) -> float | None:
        now = time.monotonic()
        waits = [self._batch_due - now] if self._batch else []
        waits += [self._events_due - now] if self._events_of else []
        return max(0.0, min(waits)) if waits else None

    def _hand_back_late(self) -> None:
        if not self._batch or time.monotonic() < self._batch_due:
            return
        late: list[Claim] = []
        while self._batch:
            try:
                late.append(self._batch.pop())
            except IndexError:
                break
        for claim in late:
            self.hand_back(claim)

    def _store_outcomes(self) -> None:
        outcomes = self._first_outcomes()
        if not outcomes:
            return
        completions = {key: self._completions[key] for key in map(_key, outcomes)}
        with traces.within(next((each.traceparent for each in completions.values() if each.traceparent), None)):
            try:
                changes = self._db.call(claims.finish, outcomes)
            except StoreUnavailable:
                raise
            except Exception:
                changes = [change for outcome in outcomes for change in self._store_alone(outcome)]
        self._publisher.publish_changes(changes)
        stored = {change.id for change in changes}
        cancelled = [CompletedCancel(*key, run.stop_method) for key, run in completions.items() if key.id not in stored]
        self._db.call(cancellations.complete, cancelled)
        self._completed(outcomes)
        self._limits.freed(changes)

    def _first_outcomes(self) -> list[Outcome]:
        """The outcomes that go into one statement: all that wait, but of large ones no more than BATCH_BYTES."""
        with self._changed:
            sizes = accumulate(outcome.result_bytes for outcome in self._outcomes)
            return [outcome for outcome, size in zip(self._outcomes, sizes, strict=True) if size <= BATCH_BYTES] or [
                *self._outcomes[:1]
            ]

    def _store_alone(self, outcome: Outcome) -> list[Change]:
        """One bad result fails its own job only; one bad note is dropped."""
        try:
            return self._db.call(claims.finish, [outcome])
        except StoreUnavailable:
            raise
        except Exception as error:
            refused = error
        try:
            return self._db.call(claims.finish, [_without_events(outcome, refused)])
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("a result cannot be stored: its job fails", job_id=str(outcome.id))
            return self._db.call(claims.finish, [_unstorable(outcome, error)])

    def _completed(self, outcomes: list[Outcome]) -> None:
        keys = [_key(outcome) for outcome in outcomes]
        with self._changed:
            del self._outcomes[: len(outcomes)]
            for key in keys:
                del self._completions[key]
        self._on_completed(keys)

    def _store_releases(self) -> None:
        with self._changed:
            releases = list(self._releases)
        if not releases:
            return
        changes = self._db.call(
            claims.release,
            [release for release, _ in releases],
            max_crashes=self._settings.max_crashes,
            max_losses=self._settings.max_losses,
        )
        with self._changed:
            del self._releases[: len(releases)]
        self._on_completed([RunKey(release.id, release.fence) for release, _ in releases])
        self._publisher.publish_changes(changes)
        stored = {change.id for change in changes}
        self._db.call(
            cancellations.complete,
            [
                CompletedCancel(release.id, release.fence, "cooperative")
                for release, _ in releases
                if release.id not in stored
            ],
        )
        for queue in {queue for _, queue in releases}:
            self._on_handed_back(queue)

    def _store_events(self) -> None:
        store = self._events_of
        if store is None or time.monotonic() < self._events_due:
            return
        with store.order:
            with self._changed:
                if self._events_of is not store:
                    return
                self._events_of = None
            try:
                store.store_now()
            except StoreUnavailable:
                self.store_events(store)
                raise


def _end_child() -> None:
    watchdog.kill(os.getpid())


def _key(outcome: Outcome) -> RunKey:
    return RunKey(outcome.id, outcome.fence)


def _without_events(outcome: Outcome, error: Exception) -> Outcome:
    return replace(outcome, progress=None, events=tuple(refusal_line(event, error) for event in outcome.events[-1:]))


def _unstorable(outcome: Outcome, error: Exception) -> Outcome:
    message = printable(f"PostgreSQL cannot store its result: {error}")[:MESSAGE_MAX]
    return Outcome(
        outcome.id,
        outcome.fence,
        Status.FAILED,
        error={"kind": ErrorKind.INVALID, "type": type(error).__name__, "message": message, "attempt": None},
    )
