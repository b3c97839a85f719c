"""What one run stores in PostgreSQL: events, checkpoints and steps, in order, while the run has its claim."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, Final, NoReturn, ParamSpec, Protocol, TypeVar

from jobcore.errors import InvalidStep, JobCancelled, StoreUnavailable
from jobcore.host import forks
from jobcore.models import Batch, Claim, Event, NewEvent, Outcome
from jobcore.store import steps
from jobcore.store.database import RowRefused
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import Slot
from jobcore.supervision.stops import StopReason
from jobcore.telemetry import logs
from jobcore.worker.event_buffer import BATCH_MAX, Buffered, EventBuffer
from jobcore.worker.event_writer import Call, EventWriter, nowhere
from jobcore.worker.files import RunFiles
from jobcore.worker.input_files import RunInputFiles
from jobcore.worker.values import DEFAULT_BOUNDS, Bounds

RETRY_S: Final = 0.5

P = ParamSpec("P")
T = TypeVar("T")
log = logs.get(__name__)


class Calls(Protocol):
    """Calls store functions: a `Database`, or a `RunDatabase` that many runs share."""

    def call(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one store function. Raises StoreUnavailable and RowRefused."""


class RunStore:
    """Stores what one run says, and knows whether the run should stop.

    `on_event(store)` is called when an event waits to be stored, `publish(event)` sends an event to streams.
    """

    def __init__(
        self,
        claim: Claim,
        slot: Slot,
        db: Calls,
        on_event: Callable[[RunStore], None],
        publish: Callable[[Event], None],
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self.claim = claim
        self.key = RunKey(claim.id, claim.fence)
        self.bounds = bounds
        self.buffer = EventBuffer(bounds.log_lines, claim.seq, bounds.output_bytes, claim.output_bytes)
        self.publish = publish
        self.writer = EventWriter(claim, publish)
        self.order = threading.RLock()
        """Held from taking events out of the buffer until they are stored, so that events keep their order."""
        self.last_events_apart = False
        """True once the events of the outcome are stored by themselves, because PostgreSQL refused both together."""
        self._slot = slot
        self._db = db
        self._on_event = on_event
        self._own_stop = StopReason.NONE
        self.inputs = RunInputFiles(claim, bounds.files_at)
        forks.watch(self)

    @property
    def files(self) -> RunFiles:
        """The files of this run. It is not kept, because a cycle of references waits for the garbage collector."""
        return RunFiles(self.claim, self.bounds, self._db.call, self._insist, self._lose)

    def input_file(self, name: str) -> Path:
        """The local path of the job's input file of this name: see `JobContext.input_file`."""
        return self.inputs.path(name, self._insist, self.raise_if_stopped)

    def in_fork(self) -> None:
        """A task forked this process, which has no completer: store at once what is said here, and only that."""
        self.order = threading.RLock()
        self.buffer.in_fork()
        self.writer.in_fork()
        self.publish = nowhere
        self._on_event = RunStore.flush

    @property
    def stop_reason(self) -> StopReason:
        """Why this run should stop: the supervisor's stop request, or the end of this child."""
        return self._slot.stop_reason(self.key) or self._own_stop

    @property
    def should_stop(self) -> bool:
        """True once the run has a stop request, or has lost its claim."""
        return self.writer.lost or self.stop_reason is not StopReason.NONE

    def drain(self) -> None:
        """Ask this run to stop, because its child ends."""
        self._own_stop = StopReason.DRAIN

    def raise_if_stopped(self) -> None:
        """Raise JobCancelled once the run should stop."""
        if self.should_stop:
            raise JobCancelled("this run must stop: its job was cancelled or timed out, or its worker shuts down")

    def event_added(self) -> None:
        """Have the events in the buffer stored soon."""
        self._on_event(self)

    def flush(self) -> None:
        """Store the events in the buffer; waits while PostgreSQL is unavailable, until the run should stop."""
        with self.order:
            self._store(self._insist)

    def store_now(self) -> None:
        """Store the events in the buffer. Raises StoreUnavailable, and can then be called again."""
        with self.order:
            self._store(self._db.call)

    def take_last(self) -> Buffered:
        """Take the last events of the run out of the buffer, to be stored with its outcome.

        If there are more than a statement should store, `settle` has to store the first ones before.
        """
        with self.order:
            while self.buffer.size > BATCH_MAX:
                self._take()
            return self.buffer.take_last()

    def store_last(self) -> None:
        """Store the last events of a run that is handed back; they are lost while PostgreSQL is unavailable."""
        with self.order:
            last = self.take_last()
            if last.events:
                self.writer.add(last.events, last.progress, last.output_bytes)
            try:
                self.writer.store(self._db.call)
            except StoreUnavailable as error:
                log.warning(
                    "the last events of a run are lost: the database is unavailable",
                    job_id=str(self.claim.id),
                    error=str(error),
                )

    def checkpoint(self, text: str) -> None:
        """Store a checkpoint, a JSON text, and what is in the buffer, in one durable transaction."""
        with self.order:
            self._store(self._insist, NewEvent("checkpoint", {"bytes": len(text.encode())}), text)

    def find_step(self, name: str) -> steps.Step | None:
        """The step of that name that an earlier run of the job has stored."""
        return None if self.claim.fence == 1 else self._insist(steps.find, self.claim.id, name)

    def store_step(self, name: str, text: str) -> Any:
        """Store the result of a step, a JSON text; returns it as every later run will read it.

        Raises JobCancelled if the run has lost its claim.
        """
        with self.order:
            self._store(self._insist)  # a stored step implies that everything before it is stored
            try:
                kept = self._insist(steps.keep, self.claim.id, self.claim.fence, name, text)
            except RowRefused as error:
                raise InvalidStep(
                    f"step {name!r}: PostgreSQL cannot store its result ({error}): return another value, or store it "
                    "elsewhere and return its address"
                ) from error
        self.writer.lost |= kept is None
        self.raise_if_stopped()
        return kept and kept.result

    def settle(self) -> None:
        """Store the events of which it is not known whether PostgreSQL has stored them. Raises StoreUnavailable."""
        with self.order:
            self.writer.store(self._db.call)

    def set_last_events_apart(self, outcome: Outcome) -> None:
        """Have `settle` store the events of the outcome, which is then stored without them."""
        with self.order:
            if not self.last_events_apart:
                self.last_events_apart = True
                if outcome.events:
                    self.writer.add(outcome.events, outcome.progress, outcome.output_bytes)

    def next_batch(self) -> Batch | None:
        """What must be stored next, for `writer.confirmed`; None if nothing waits. The caller holds `order`."""
        if self.writer.next is None:
            self._take()
        return self.writer.next

    def _store(self, call: Call, last: NewEvent | None = None, checkpoint: str | None = None) -> None:
        """Store what is in the buffer, and `last` with the checkpoint, in one transaction; publish what was stored."""
        self.writer.store(call)
        while self.buffer.size > BATCH_MAX:
            self._take()
            self.writer.store(call)
        self._take(last, checkpoint)
        self.writer.store(call)

    def _take(self, last: NewEvent | None = None, checkpoint: str | None = None) -> None:
        buffered = self.buffer.take()
        new = [*buffered.events, *([] if last is None else [last])]
        if new:
            self.writer.add(new, buffered.progress, buffered.output_bytes, checkpoint)

    def _insist(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a store function until PostgreSQL is available. The end of the lease stops the run meanwhile."""
        while True:
            try:
                return self._db.call(function, *args, **kwargs)
            except StoreUnavailable:
                self.raise_if_stopped()
                time.sleep(RETRY_S)

    def _lose(self) -> NoReturn:
        """Stop the run: it has lost its claim."""
        self.writer.lost = True
        raise JobCancelled("this run has lost its claim")
