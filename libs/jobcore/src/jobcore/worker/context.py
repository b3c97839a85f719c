"""What a task's function gets as `ctx`: the `JobContext` of one run, and nothing that a task author does not need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, Protocol

from jobcore.errors import InvalidStep, InvalidValue
from jobcore.models import Claim, Event, StoredFile
from jobcore.store.steps import Step
from jobcore.worker.event_buffer import EventBuffer, printable
from jobcore.worker.files import FileSink, store_file
from jobcore.worker.steps import check_name, result_json
from jobcore.worker.values import Bounds, number, to_json

LEVELS: Final = ("debug", "info", "warning", "error")
PROGRESS_MESSAGE_MAX: Final = 500

P = ParamSpec("P")


class ContextStore(Protocol):
    """Where a context stores what its task says: PostgreSQL in a worker (`RunStore`), memory in `jobcore.testing`."""

    claim: Claim
    bounds: Bounds
    buffer: EventBuffer

    @property
    def files(self) -> FileSink:
        """Where its files go."""

    @property
    def should_stop(self) -> bool:
        """True once the run should stop."""

    def raise_if_stopped(self) -> None:
        """Raise JobCancelled once the run should stop."""

    def event_added(self) -> None:
        """Have the events in the buffer stored soon."""

    def flush(self) -> None:
        """Store the events in the buffer."""

    def publish(self, event: Event, /) -> None:
        """Send an event that is not stored to streams."""

    def checkpoint(self, text: str) -> None:
        """Store a checkpoint, a JSON text."""

    def find_step(self, name: str) -> Step | None:
        """The step of that name that an earlier run has stored."""

    def store_step(self, name: str, text: str) -> Any:
        """Store the result of a step, a JSON text; returns it as every later run will read it."""


class RunContext:
    """The `JobContext` of one run. `shield` keeps interrupts out of our own code until it has ended."""

    def __init__(self, store: ContextStore, shield: Callable[[], AbstractContextManager[None]]) -> None:
        self._store = store
        self._shield = shield
        self._checkpoint_state = store.claim.checkpoint
        self._steps: set[str] = set()

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self._store.claim.id)

    @property
    def attempt(self) -> int:
        """The number of this run, from 1."""
        return self._store.claim.attempt

    @property
    def fence(self) -> int:
        """The fence of this run's claim."""
        return self._store.claim.fence

    @property
    def cancelled(self) -> bool:
        """True once this run should stop: the job was cancelled or timed out, or its worker shuts down."""
        return self._store.should_stop

    @property
    def checkpoint_state(self) -> Any:
        """The latest checkpoint, of this run or an earlier one; None if there is none."""
        return self._checkpoint_state

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelled once this run should stop."""
        self._store.raise_if_stopped()

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the job's log; waits while BUFFERED_MAX lines are not stored yet."""
        if not isinstance(level, str) or level not in LEVELS:
            raise InvalidValue(f"log: level must be one of {', '.join(LEVELS)}, not {level!r}")
        with self._shield():
            if self._store.buffer.add_line(level, str(message)):
                self._store.event_added()
        if self._store.buffer.full:
            with self._shield():
                self._store.flush()
            self.raise_if_cancelled()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job is."""
        data = {
            "done": number("progress: done", done),
            "total": None if total is None else number("progress: total", total),
            "message": None if message is None else printable(str(message)[:PROGRESS_MESSAGE_MAX]),
        }
        with self._shield():
            if self._store.buffer.set_progress(data):
                self._store.event_added()
            else:
                self._store.publish(Event(None, datetime.now(UTC), self.attempt, "progress", data))

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; the next run finds it in `checkpoint_state`."""
        text = to_json("checkpoint", state, self._store.bounds.result_bytes)
        with self._shield():
            self._store.checkpoint(text)
        self.raise_if_cancelled()
        self._checkpoint_state = json.loads(text)

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return the stored result of the step, or call the function and store what it returns."""
        check_name(name)
        if name in self._steps:
            raise InvalidStep(f"step {name!r} has already run in this attempt: give each step its own name")
        self.raise_if_cancelled()
        self._steps.add(name)
        try:
            with self._shield():
                done = self._store.find_step(name)
            return done.result if done else self._store_step(name, function(*args, **kwargs))
        except BaseException:
            self._steps.discard(name)  # the step is not done: the task may catch the error and call it again
            raise

    def file(
        self, path: str | os.PathLike[str], name: str | None = None, *, media_type: str | None = None
    ) -> StoredFile:
        """Store a copy of the file at `path` as a result file of the job."""
        self.raise_if_cancelled()
        with self._shield():
            return store_file(
                self._store.files, self._store.bounds, self._store.raise_if_stopped, path, name, media_type
            )

    def _store_step(self, name: str, result: Any) -> Any:
        text = result_json(name, result, self._store.bounds.result_bytes)
        with self._shield():
            return self._store.store_step(name, text)
