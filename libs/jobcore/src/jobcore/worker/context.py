"""What a running task holds: `RunContext` buffers its log and progress, the completer stores them in order."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from jobcore.errors import InvalidStep, InvalidValue, JobCancelled, StoreUnavailable
from jobcore.models import Claim, Event, NewEvent
from jobcore.store import events, steps
from jobcore.store.database import Database, RowRefused
from jobcore.supervision.slots import RunKey, Slot, StopReason
from jobcore.telemetry import logs
from jobcore.worker.steps import check_name, result_json
from jobcore.worker.values import DEFAULT_BOUNDS, Bounds, number, to_json

PROGRESS_S: Final = 1.0
"""PostgreSQL keeps at most one progress event of a job in this many seconds."""
LEVELS: Final = ("debug", "info", "warning", "error")
MESSAGE_MAX: Final = 10_000
LONG_LINE: Final = 1_000
"""Each so many characters of a line count as one more line."""
BUFFERED_MAX: Final = 1_000
"""Notes that may wait to be stored; the run that adds one more stores them itself. A long line counts as several."""
LEAST_LINES: Final = 1_000
"""Lines that every run may log, however much the runs before it logged."""
RETRY_S: Final = 0.5
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")

P = ParamSpec("P")
T = TypeVar("T")
Call = Callable[..., Any]
"""Runs a store function: once, or again and again while PostgreSQL is away."""

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Buffered:
    """What a run said since the last write: its events, and its progress if that changed."""

    events: tuple[NewEvent, ...]
    progress: dict[str, Any] | None


class RunContext:
    """The `JobContext` of one run.

    `shield` holds interrupts off, `on_note` tells the completer that something waits, `on_live` tells streams.
    """

    def __init__(
        self,
        claim: Claim,
        slot: Slot,
        db: Database,
        shield: Callable[[], AbstractContextManager[None]],
        on_note: Callable[[RunContext], None],
        on_live: Callable[[Event], None],
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self.claim = claim
        self.bounds = bounds
        self.key = RunKey(claim.id, claim.fence)
        self._slot = slot
        self._db = db
        self._shield = shield
        self._on_note = on_note
        self._on_live = on_live
        self._notes: list[tuple[float, str, dict[str, Any]]] = []
        self._buffered = 0
        self._buffer = threading.Lock()
        self._lines_left = max(LEAST_LINES, bounds.log_lines - claim.seq)
        self._dropped = 0
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
        return self._lost or self._slot.stop_reason(self.key) is not StopReason.NONE

    @property
    def stop_reason(self) -> StopReason:
        """Why the supervisor wants this run to stop."""
        return self._slot.stop_reason(self.key)

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
        """Add a line to the job's log; waits while BUFFERED_MAX lines wait to be stored."""
        if not isinstance(level, str) or level not in LEVELS:
            raise InvalidValue(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        line = printable(str(message)[:MESSAGE_MAX])
        with self._shield():
            if self._may_log(line):
                self._note("log", {"level": level, "message": line}, lines(line))
        if self._buffered > BUFFERED_MAX:
            self.flush()

    def _may_log(self, line: str) -> bool:
        with self._buffer:
            if self._lines_left <= 0:
                self._dropped += 1
                return False
            self._lines_left -= lines(line)
            return True

    def traceback(self, text: str) -> None:
        """Add the traceback of the error that ended this run to the job's log, marked as such."""
        with self._shield():
            self._note("log", {"level": "error", "message": printable(text)[:MESSAGE_MAX], "traceback": True})

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is."""
        data = {
            "done": number("progress: done", done),
            "total": None if total is None else number("progress: total", total),
            "message": None if message is None else printable(str(message)[:500]),
        }
        with self._shield():
            now = time.monotonic()
            with self._buffer:
                self._progress = data
                keeps = now - self._progress_kept_at >= PROGRESS_S
                if keeps:
                    self._progress_kept_at = now
            if keeps:
                self._note("progress", data)
            else:
                self._on_live(Event(None, datetime.now(UTC), self.attempt, "progress", data))

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; the next attempt finds it in `checkpoint_state`."""
        text = to_json("checkpoint", state, self.bounds.result_bytes)
        with self._shield(), self.order:
            self._store(self._insist, NewEvent("checkpoint", {"bytes": len(text.encode())}), text)
        self.raise_if_cancelled()
        self._state = json.loads(text)

    def flush(self) -> None:
        """Store what is buffered, and wait until it is."""
        with self._shield(), self.order:
            self._store(self._insist)
        self.raise_if_cancelled()

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Call the function unless an earlier attempt did; its result, as it is stored."""
        check_name(name)
        if name in self._steps:
            raise InvalidStep(f"step {name!r} was there before in this run: give each step a name of its own")
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
        text = result_json(name, result, self.bounds.result_bytes)
        with self._shield(), self.order:
            self._store(self._insist)  # what was said before the step is never lost if the step is there
            try:
                kept = self._insist(steps.keep, self.claim.id, self.fence, name, text)
            except RowRefused as error:
                raise InvalidStep(f"step {name!r}: PostgreSQL cannot store its result: {error}") from error
        if kept is None:
            self.lose()
        self.raise_if_cancelled()
        return kept and kept.result

    def take(self) -> Buffered:
        """Take what is buffered; the caller stores it."""
        with self.order, self._buffer:
            notes, self._notes = self._notes, []
            progress, self._progress = self._progress, None
            self._buffered = 0
        now = time.monotonic()
        return Buffered(tuple(NewEvent(kind, data, now - at) for at, kind, data in notes), progress)

    def put_back(self, buffered: Buffered) -> None:
        """What could not be stored now waits again, ahead of what came later."""
        now = time.monotonic()
        with self.order, self._buffer:
            self._notes[:0] = [(now - event.age_s, event.kind, dict(event.data)) for event in buffered.events]
            self._buffered += len(buffered.events)
            self._progress = self._progress or buffered.progress

    def last_words(self) -> Buffered:
        """Take what is buffered at the end of the run, the last progress as an event too."""
        with self.order:
            now = time.monotonic()
            with self._buffer:
                if self._progress is not None and not any(data is self._progress for _, _, data in self._notes):
                    self._notes.append((now, "progress", self._progress))
                if self._dropped:
                    self._notes.append((now, "log", _dropped(self._dropped, self.bounds.log_lines)))
                    self._dropped = 0
            return self.take()

    def hand_over(self) -> None:
        """Store the last words before the claim is given back; what cannot be stored now is lost with the run."""
        with self.order:
            self.put_back(self.last_words())
            try:
                self.store_once()
            except StoreUnavailable as error:
                log.warning("a run's last lines are lost: the database is away", job_id=self.job_id, error=str(error))

    def store_once(self) -> None:
        """Store what is buffered now; StoreUnavailable, and it waits again, if PostgreSQL is away."""
        with self.order:
            self._store(self._db.call)

    def _note(self, kind: str, data: dict[str, Any], lines: int = 1) -> None:
        with self._buffer:
            self._notes.append((time.monotonic(), kind, data))
            self._buffered += lines
        self._on_note(self)

    def _store(self, call: Call, last: NewEvent | None = None, checkpoint: str | None = None) -> None:
        """Store what is buffered, and `last` with the checkpoint, in one transaction; publish what was stored."""
        buffered = self.take()
        new = [*buffered.events, *([] if last is None else [last])]
        if not new:
            return
        try:
            self._append(call, new, buffered.progress, checkpoint)
        except BaseException:  # the database is away, or the run was told to stop while it was
            self.put_back(buffered)
            raise

    def _append(
        self, call: Call, new: list[NewEvent], progress: Mapping[str, Any] | None, checkpoint: str | None
    ) -> None:
        try:
            appended = call(events.append, self.claim.id, self.fence, new, progress=progress, checkpoint=checkpoint)
        except RowRefused as error:
            self._append_each(call, new, progress, checkpoint, error)
            return
        if appended is None:
            self.lose()
        else:
            self._publish(new, appended)

    def _append_each(
        self,
        call: Call,
        new: list[NewEvent],
        progress: Mapping[str, Any] | None,
        checkpoint: str | None,
        error: RowRefused,
    ) -> None:
        """One event that PostgreSQL refuses must not sink the others: a line of the log takes its place."""
        if len(new) > 1:
            for event in new[:-1]:
                self._append(call, [event], None, None)
            self._append(call, new[-1:], progress, checkpoint)
        elif checkpoint is not None:
            raise InvalidValue(f"checkpoint: PostgreSQL cannot store it: {error}") from error
        else:
            log.warning("a note cannot be stored", job_id=self.job_id, kind=new[0].kind, error=str(error))
            if new[0].data.get("unstorable") is None:
                self._append(call, [unstorable(new[0], error)], None, None)

    def _insist(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a store function, again and again while PostgreSQL is away: the lease's end stops this run then."""
        while True:
            try:
                return self._db.call(function, *args, **kwargs)
            except StoreUnavailable:
                self.raise_if_cancelled()
                time.sleep(RETRY_S)

    def _publish(self, new: Sequence[NewEvent], appended: events.Appended) -> None:
        """Tell the streams of events that were stored."""
        first = appended.last_seq - len(new) + 1
        for seq, event in enumerate(new, first):
            at = appended.at - timedelta(seconds=event.age_s)
            self._on_live(Event(seq, at, self.attempt, event.kind, event.data))


def lines(text: str) -> int:
    """How many lines of the log a text counts as."""
    return 1 + len(text) // LONG_LINE


def unstorable(event: NewEvent, error: Exception) -> NewEvent:
    """The line of the log that takes the place of an event which PostgreSQL refused."""
    said = f"a {event.kind} note could not be stored: {error}"
    data = {"level": "warning", "message": printable(said)[:LONG_LINE], "unstorable": True}
    return NewEvent("log", data, event.age_s)


def _dropped(count: int, most: int) -> dict[str, Any]:
    message = f"{count:,} lines of this log were dropped: it may have {most:,} (LONGRUN_MAX_LOG_LINES)"
    return {"level": "warning", "message": message}


def printable(text: str) -> str:
    """Text without what PostgreSQL cannot hold: NUL and lone surrogates become U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return UNSTORABLE.sub("\ufffd", text)
