"""What a running task holds: `RunContext` buffers its log and progress, the writer stores them in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from jobcore.errors import FieldError, InvalidInput, InvalidStep, JobCancelled, StoreUnavailable
from jobcore.models import Claim, Event, NewEvent
from jobcore.slots import Key, Post, Slot
from jobcore.steps import check_name, to_json
from jobcore.store import documents, events, steps
from jobcore.store.database import Database, RowRefused

PROGRESS_S: Final = 1.0
"""PostgreSQL keeps at most one progress event of a job in this many seconds."""
LEVELS: Final = ("debug", "info", "warning", "error")
MESSAGE_MAX: Final = 10_000
RETRY_S: Final = 0.5

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Buffered:
    """What a run said since the last write: its events, and its progress if that changed."""

    events: tuple[NewEvent, ...]
    progress: dict[str, Any] | None


class RunContext:
    """The `JobContext` of one run.

    `shield` holds interrupts off, `on_note` tells the writer that something waits, `on_live` tells streams.
    """

    def __init__(
        self,
        claim: Claim,
        slot: Slot,
        db: Database,
        shield: Callable[[], AbstractContextManager[None]],
        on_note: Callable[[RunContext], None],
        on_live: Callable[[Event], None],
    ) -> None:
        self.claim = claim
        self.key = Key(claim.id, claim.fence)
        self._slot = slot
        self._db = db
        self._shield = shield
        self._on_note = on_note
        self._on_live = on_live
        self._notes: list[tuple[float, str, dict[str, Any]]] = []
        self._progress: dict[str, Any] | None = None
        self._progress_kept_at = float("-inf")
        self._state = claim.checkpoint
        self._lost = False
        self._steps: set[str] = set()
        self.order = threading.RLock()
        """Held from taking what is buffered until it is stored, so that the story keeps its order."""

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self.claim.id)

    @property
    def attempt(self) -> int:
        """The number of this run, from 1."""
        return self.claim.attempt

    @property
    def fence(self) -> int:
        """The fence of this run's claim."""
        return self.claim.fence

    @property
    def cancelled(self) -> bool:
        """True once this run should stop: its job was cancelled, its time is over, or its worker shuts down."""
        return self._lost or self._slot.posted(self.key) is not Post.NONE

    @property
    def stop_reason(self) -> Post:
        """What the supervisor posted for this run."""
        return self._slot.posted(self.key)

    @property
    def checkpoint_state(self) -> Any:
        """What the last `checkpoint` stored, also by an earlier attempt."""
        return self._state

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelled once this run should stop."""
        if self.cancelled:
            raise JobCancelled("the job was cancelled or its worker is stopping")

    def lose(self) -> None:
        """Note that the claim is gone: nothing more of this run can be stored."""
        self._lost = True

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log."""
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        with self._shield():
            self._note("log", {"level": level, "message": printable(str(message))[:MESSAGE_MAX]})

    def traceback(self, text: str) -> None:
        """Add the traceback of the error that ended this run to the job's log, marked as such."""
        with self._shield():
            self._note("log", {"level": "error", "message": printable(text)[:MESSAGE_MAX], "traceback": True})

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is."""
        data = {"done": done, "total": total, "message": None if message is None else printable(message)[:500]}
        _refuse_unstorable(data, "progress")
        with self._shield():
            self._progress = data
            now = time.monotonic()
            if now - self._progress_kept_at >= PROGRESS_S:
                self._progress_kept_at = now
                self._note("progress", data)
            else:
                self._on_live(Event(None, datetime.now(UTC), self.attempt, "progress", data))

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; the next attempt finds it in `checkpoint_state`."""
        _refuse_unstorable(state, "checkpoint")
        documents.dumps(state)
        with self._shield(), self.order:
            buffered = self.take()
            appended = self._append(
                [*buffered.events, NewEvent("checkpoint", {"state": state})], buffered.progress, state
            )
        if appended is None:
            self.lose()
        self.raise_if_cancelled()
        self._state = state

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function unless an earlier attempt did; its result, as it is stored."""
        if name in self._steps:
            raise InvalidStep(f"step {name!r} was there before in this run: give each step a name of its own")
        check_name(name)
        self.raise_if_cancelled()
        self._steps.add(name)
        try:
            done = self._step_of_an_earlier_run(name)
            return done.result if done else self._keep_step(name, function(*args, **kwargs))
        except BaseException:
            self._steps.discard(name)  # it is not done: the task may try it again
            raise

    def _step_of_an_earlier_run(self, name: str) -> steps.Step | None:
        if self.fence == 1:
            return None
        with self._shield():
            return self._insist(steps.find, self.claim.id, name)

    def _keep_step(self, name: str, result: Any) -> Any:
        with self._shield():
            try:
                kept = self._insist(steps.keep, self.claim.id, self.fence, name, to_json(name, result))
            except RowRefused as error:
                raise InvalidStep(f"step {name!r}: PostgreSQL cannot store its result: {error}") from error
        if kept is None:
            self.lose()
        self.raise_if_cancelled()
        return kept and kept.result

    def take(self) -> Buffered:
        """Take what is buffered; the caller stores it."""
        with self.order:
            notes, self._notes = self._notes, []
            progress, self._progress = self._progress, None
        now = time.monotonic()
        return Buffered(tuple(NewEvent(kind, data, now - at) for at, kind, data in notes), progress)

    def put_back(self, buffered: Buffered) -> None:
        """What could not be stored now waits again, ahead of what came later."""
        now = time.monotonic()
        with self.order:
            self._notes[:0] = [(now - event.age_s, event.kind, dict(event.data)) for event in buffered.events]
            self._progress = self._progress or buffered.progress

    def last_words(self) -> Buffered:
        """Take what is buffered at the end of the run, the last progress as an event too."""
        with self.order:
            if self._progress is not None and not any(data is self._progress for _, _, data in self._notes):
                self._notes.append((time.monotonic(), "progress", self._progress))
            return self.take()

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        self._notes.append((time.monotonic(), kind, data))
        self._on_note(self)

    def _append(self, new: list[NewEvent], progress: dict[str, Any] | None, state: Any) -> events.Appended | None:
        appended = self._insist(events.append, self.claim.id, self.fence, new, progress=progress, checkpoint=state)
        self.publish(new, appended)
        return appended

    def _insist(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a store function, again and again while PostgreSQL is away: the lease's end stops this run then."""
        while True:
            try:
                return self._db.call(function, *args, **kwargs)
            except StoreUnavailable:
                self.raise_if_cancelled()
                time.sleep(RETRY_S)

    def publish(self, new: list[NewEvent] | tuple[NewEvent, ...], appended: events.Appended | None) -> None:
        """Tell the streams of events that were stored."""
        if appended:
            first = appended.last_seq - len(new) + 1
            for seq, event in enumerate(new, first):
                at = appended.at - timedelta(seconds=event.age_s)
                self._on_live(Event(seq, at, self.attempt, event.kind, event.data))


def printable(text: str) -> str:
    """Text without what PostgreSQL cannot hold: NUL and lone surrogates become U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _refuse_unstorable(value: Any, name: str) -> None:
    found = [FieldError(path, message) for path, message in documents.problems(value, name)]
    if found:
        raise InvalidInput(*found)
