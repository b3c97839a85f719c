"""The completer: a child's thread that stores what runs leave while the main thread already runs the next job.

    main thread                      thread "completer"
    ───────────                      ──────────────────
    claim a batch ──── unstarted ──▶ after 50 ms: take what is left, and hand it back
    pop, run     ───── outcome ────▶ at the end of the batch, or after 25 ms: store all outcomes that wait, in one
                                     durable transaction
    ctx.log()    ───── events ─────▶ after 50 ms: store the events of all runs, in one transaction
    end of slice ───── flush() ────▶ … returns once nothing is left to store

Both threads take claims from the same deque, and a claim belongs to the thread that took it. While PostgreSQL is
unavailable the completer keeps what it has and retries; the end of the lease decides when to give up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import Final

from jobcore.admission.limits import Limits
from jobcore.errors import StoreUnavailable
from jobcore.host.background_thread import BackgroundThread
from jobcore.host.error_budget import ErrorBudget
from jobcore.host.process_tree import kill_this_process
from jobcore.models import Claim
from jobcore.supervision.child_state import RunKey
from jobcore.telemetry import logs
from jobcore.worker.backlog import Backlog
from jobcore.worker.outcome_store import Completion, OutcomeStore
from jobcore.worker.run_store import RunStore

HAND_BACK_S: Final = 0.05
EVENTS_S: Final = 0.05
GATHER_S: Final = 0.025
"""How long an outcome may wait for others, in seconds, while its child has claims of the same batch to run."""
RETRY_S: Final = 0.5
ERROR_BUDGET_S: Final = 5.0
"""The child ends if unexpected errors repeat for more seconds than this, so that its jobs can run elsewhere."""
BATCH_BYTES: Final = 16 * 2**20
"""The most bytes of results in one statement, because this process and PostgreSQL each hold its text several times."""

log = logs.get(__name__)


class Completer(BackgroundThread):
    """Stores outcomes, hand-backs and events of one child.

    `on_completed` is called with runs whose end is stored, `on_handed_back` with a queue that got claims back.
    """

    def __init__(
        self,
        store: OutcomeStore,
        limits: Limits,
        on_completed: Callable[[list[RunKey]], None],
        on_handed_back: Callable[[str], None],
    ) -> None:
        super().__init__("completer")
        self._store = store
        self._limits = limits
        self._on_completed = on_completed
        self._on_handed_back = on_handed_back
        self._changed = threading.Condition()
        self._completions: Backlog[Completion] = Backlog()
        self._completions_due = 0.0
        self._unrun: Backlog[Claim] = Backlog()
        self._talking: dict[RunKey, RunStore] = {}
        """The runs whose events must be stored."""
        self._events_due = 0.0
        self._batch: deque[Claim] = deque()
        self._batch_due = 0.0
        self._error_budget = ErrorBudget("storing outcomes", ERROR_BUDGET_S)
        self._outage = logs.Outage(
            log, "storing outcomes paused: the database is unavailable", "storing outcomes resumed"
        )

    def on_stop(self) -> None:
        """Wake the thread, which stores what waits and then ends."""
        with self._changed:
            self._changed.notify_all()

    def on_stall(self) -> None:
        """End this child, because the supervisor then returns its jobs to their queues."""
        kill_this_process()

    def watch(self, batch: deque[Claim]) -> None:
        """Hand back the claims of this batch that have not started within HAND_BACK_S seconds."""
        with self._changed:
            self._batch, self._batch_due = batch, time.monotonic() + HAND_BACK_S
            self._changed.notify()

    def finish(self, completion: Completion) -> None:
        """Store the outcome of a run soon, together with others of its batch."""
        with self._changed:
            first = not self._completions
            if first:
                self._completions_due = time.monotonic() + GATHER_S
            self._completions.add(completion)
            self._talking.pop(completion.key, None)  # its last events are stored with its outcome
            if first or not self._batch:  # else the thread wakes up in time by itself
                self._changed.notify()

    def hand_back(self, claim: Claim) -> None:
        """Return a claim to its queue soon."""
        with self._changed:
            self._unrun.add(claim)
            self._talking.pop(RunKey(claim.id, claim.fence), None)
            self._changed.notify()

    def store_events(self, run: RunStore) -> None:
        """Store the events in the buffer of this run within EVENTS_S seconds."""
        if run.key in self._talking:
            return
        with self._changed:
            if not self._talking:
                self._events_due = time.monotonic() + EVENTS_S
                self._changed.notify()
            self._talking[run.key] = run

    def flush(self) -> None:
        """Wait until every outcome and hand-back that was given until now is stored, whatever comes meanwhile."""
        with self._changed:
            ended, unrun = self._completions.given, self._unrun.given
            self._changed.wait_for(lambda: self._completions.stored >= ended and self._unrun.stored >= unrun)

    def wait_for(self, *, at_most: int) -> None:
        """Wait until at most so many outcomes and hand-backs are not stored."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._completions) + len(self._unrun) <= at_most)

    def run(self) -> None:
        """Store what waits, until stopped and nothing waits."""
        while self._await_work():
            try:
                for step in (self._take_late, self._store_outcomes, self._store_hand_backs, self._store_events):
                    self.beat()
                    step()
                self._outage.end()
            except StoreUnavailable as error:
                self._outage.begin(error)
                self.pause(RETRY_S)
            except Exception as error:
                if not self._error_budget.allows(error):
                    log.error("cannot store outcomes; this child ends and its jobs run elsewhere")
                    kill_this_process()
                self.pause(RETRY_S)

    def _await_work(self) -> bool:
        with self._changed:
            self.rest()
            while not self._due():
                if self.stopping:
                    return False
                self._changed.wait(self._wait_s())
            return True

    def _due(self) -> bool:
        now = time.monotonic()
        return bool(
            (self._completions and (now >= self._completions_due or not self._batch))
            or self._unrun
            or (self._batch and now >= self._batch_due)
            or (self._talking and now >= self._events_due)
        )

    def _wait_s(self) -> float | None:
        """The seconds until something is due; None if nothing will be."""
        now = time.monotonic()
        waits = [self._batch_due - now] if self._batch else []
        waits += [self._events_due - now] if self._talking else []
        waits += [self._completions_due - now] if self._completions else []
        return max(0.0, min(waits)) if waits else None

    def _take_late(self) -> None:
        """Take the claims of a batch that have not started in time."""
        if not self._batch or time.monotonic() < self._batch_due:
            return
        late: list[Claim] = []
        while self._batch:
            try:
                late.append(self._batch.pop())
            except IndexError:
                break  # the main thread has taken the last one
        for claim in late:
            self.hand_back(claim)

    def _store_outcomes(self) -> None:
        completions = self._first_completions()
        if not completions:
            return
        changes = self._store.finish(completions)
        self._on_completed([completion.key for completion in completions])
        with self._changed:
            self._completions.drop(len(completions))
            self._completions_due = time.monotonic() + GATHER_S
            self._changed.notify_all()
        self._limits.freed(changes)

    def _first_completions(self) -> list[Completion]:
        """What goes into one statement: all that wait, but at most BATCH_BYTES of results, and at least one."""
        with self._changed:
            sizes = accumulate(completion.outcome.result_bytes for completion in self._completions.waiting)
            fitting = sum(size <= BATCH_BYTES for size in sizes)
            return self._completions.waiting[: max(1, fitting)]

    def _store_hand_backs(self) -> None:
        with self._changed:
            unrun = list(self._unrun.waiting)
        if not unrun:
            return
        keys = [RunKey(claim.id, claim.fence) for claim in unrun]
        self._store.hand_back(keys)
        self._on_completed(keys)
        with self._changed:
            self._unrun.drop(len(unrun))
            self._changed.notify_all()
        for queue in {claim.queue for claim in unrun}:
            self._on_handed_back(queue)

    def _store_events(self) -> None:
        with self._changed:
            if time.monotonic() < self._events_due:
                return
            runs = list(self._talking.values())
            self._talking.clear()
        again = runs
        try:
            again = self._store.store_events(runs)
        finally:
            for run in again:
                self.store_events(run)
