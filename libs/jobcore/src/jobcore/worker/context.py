"""What a task's function gets as `ctx`: the context of one run, and nothing that a task author does not need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol, Unpack

from jobcore.errors import InvalidStep, InvalidValue
from jobcore.models import Claim, Event, StoredFile
from jobcore.store.steps import Step
from jobcore.tasks.program import Arguments, CompletedProgram, ProgramOptions
from jobcore.worker import programs
from jobcore.worker.event_buffer import EventBuffer, printable
from jobcore.worker.files import FileSink, store_file
from jobcore.worker.output import Piece
from jobcore.worker.program_start import Options
from jobcore.worker.steps import check_name, result_json
from jobcore.worker.values import MIB, Bounds, number, to_json

LEVELS: Final = ("debug", "info", "warning", "error")
PROGRESS_MESSAGE_MAX: Final = 500
CHECKPOINT_MAX: Final = MIB
"""The most bytes of a checkpoint as JSON, because each claim of the job reads it."""
CHECKPOINT_TOO_LARGE: Final = "at most: keep results of parts in steps (ctx.step), and large data in a file (ctx.file)"

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

    def input_file(self, name: str) -> Path:
        """The local path of the job's input file of this name."""

    def publish(self, event: Event, /) -> None:
        """Send an event that is not stored to streams."""

    def checkpoint(self, text: str) -> None:
        """Store a checkpoint, a JSON text."""

    def find_step(self, name: str) -> Step | None:
        """The step of that name that an earlier run has stored."""

    def store_step(self, name: str, text: str) -> Any:
        """Store the result of a step, a JSON text; returns it as every later run will read it."""


class BaseContext:
    """What the contexts of all lanes share. `shield` keeps interrupts out of our own code until it has ended."""

    def __init__(self, store: ContextStore, shield: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._store = store
        self._shield = shield
        self._checkpoint_state = store.claim.checkpoint
        self._steps: set[str] = set()

    @property
    def job_id(self) -> str:
        """The job's id."""
        return str(self._store.claim.id)

    @property
    def owner(self) -> str | None:
        """Whose job it is; None: the operator's."""
        return self._store.claim.owner

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
        self._wait_for_room()

    def emit(self, name: str, data: Any) -> None:
        """Add a piece to the job's output, a JSON value with a name; waits while BUFFERED_MAX events are not stored."""
        piece = Piece.of(name, data)
        with self._shield():
            self._store.buffer.add_output(piece)
            self._store.event_added()
        self._wait_for_room()

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

    def _store_checkpoint(self, text: str) -> None:
        with self._shield():
            self._store.checkpoint(text)
        self._checkpoint_state = json.loads(text)

    @contextmanager
    def _once(self, name: str) -> Iterator[None]:
        """The step of that name runs; the next one may have the name only if this block raises."""
        check_name(name)
        if name in self._steps:
            raise InvalidStep(f"step {name!r} has already run in this attempt: give each step its own name")
        self.raise_if_cancelled()
        self._steps.add(name)
        try:
            yield
        except BaseException:
            self._steps.discard(name)  # the step is not done: the task may catch the error and call it again
            raise

    def _find_step(self, name: str) -> Step | None:
        with self._shield():
            return self._store.find_step(name)

    def _wait_for_room(self) -> None:
        """Wait, in a `def`, until the buffer has room."""

    def _store_step(self, name: str, result: Any) -> Any:
        text = result_json(name, result, self._store.bounds.result_bytes)
        with self._shield():
            return self._store.store_step(name, text)

    def _input_file(self, name: str) -> Path:
        with self._shield():
            return self._store.input_file(name)

    def _store_file(self, path: str | os.PathLike[str], name: str | None, media_type: str | None) -> StoredFile:
        with self._shield():
            return store_file(
                self._store.files, self._store.bounds, self._store.raise_if_stopped, path, name, media_type
            )


class RunContext(BaseContext):
    """The `JobContext` of one run."""

    def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; the next run finds it in `checkpoint_state`."""
        self._store_checkpoint(checkpoint_text(state))
        self.raise_if_cancelled()

    def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return the stored result of the step, or call the function and store what it returns."""
        with self._once(name):
            done = self._find_step(name)
            return done.result if done else self._store_step(name, function(*args, **kwargs))

    def run(self, args: Arguments, **options: Unpack[ProgramOptions]) -> CompletedProgram:
        """Run a program to its end, with its output in the job's log."""
        return programs.run(self, args, Options(**options))

    def file(
        self, path: str | os.PathLike[str], name: str | None = None, *, media_type: str | None = None
    ) -> StoredFile:
        """Store a copy of the file at `path` as a result file of the job."""
        self.raise_if_cancelled()
        return self._store_file(path, name, media_type)

    def input_file(self, name: str) -> Path:
        """The local path of a file that the job was submitted with."""
        self.raise_if_cancelled()
        return self._input_file(name)

    def _wait_for_room(self) -> None:
        """Wait until the buffer has room; raises JobCancelled if the run should stop meanwhile."""
        if self._store.buffer.full:
            with self._shield():
                self._store.flush()
            self.raise_if_cancelled()


def checkpoint_text(state: Any) -> str:
    """The JSON text of a checkpoint. Raises InvalidValue if it cannot be stored."""
    return to_json("checkpoint", state, CHECKPOINT_MAX, CHECKPOINT_TOO_LARGE)
