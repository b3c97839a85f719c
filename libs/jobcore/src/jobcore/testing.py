"""Runs a task in a test: with the real context and the real checks of input and result, and without any server.

from jobcore.testing import run

def test_greet() -> None:
    done = run(greet, {"name": "Ada"})
    assert done.result == "Hello, Ada!"
    assert done.logs == ["greeting Ada"]
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from uuid_utils.compat import uuid7

from jobcore.errors import InvalidValue, JobCancelled
from jobcore.models import Claim, Event, NewFile
from jobcore.states import Lane
from jobcore.store.steps import Step
from jobcore.tasks import Context, TaskType
from jobcore.tasks.registry import registry
from jobcore.worker.async_context import RunAsyncContext
from jobcore.worker.context import RunContext
from jobcore.worker.error_details import problems_of
from jobcore.worker.event_buffer import EventBuffer
from jobcore.worker.results import InvalidOutput, result_of
from jobcore.worker.values import DEFAULT_BOUNDS

OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Is called with the kind and the data of each event of a run as it happens."""


@dataclass(frozen=True, slots=True)
class File:
    """A result file, with its bytes."""

    media_type: str
    content: bytes


@dataclass(slots=True)
class Run:
    """What one run did. Values are as PostgreSQL would return them: a tuple is a list."""

    attempt: int
    result: Any = None
    """The result as JSON; None if the task raised."""
    logs: list[str] = field(default_factory=list)
    """The messages of `ctx.log`."""
    progress: list[dict[str, Any]] = field(default_factory=list)
    """Every `ctx.progress`, as `{"done": …, "total": …, "message": …}`."""
    emitted: list[tuple[str, Any]] = field(default_factory=list)
    """The pieces of `ctx.emit`, as pairs of a name and a value."""
    checkpoint: Any = None
    """The latest checkpoint, of this run or of the one before."""
    steps: dict[str, Any] = field(default_factory=dict)
    """The results of steps, by name, of this run and of those before."""
    files: dict[str, File] = field(default_factory=dict)
    """What `ctx.file` stored, by name, in this run and those before."""
    error: Exception | None = None
    """What the task raised, if `run` was told to return it."""


def run(
    task: Callable[..., Any],
    input: Mapping[str, Any] | None = None,
    *,
    after: Run | None = None,
    cancelled: bool | threading.Event = False,
    raises: bool = True,
    on_event: OnEvent | None = None,
) -> Run:
    """Call a function that `@task` has registered, with an input as a client sends it; returns what it did.

    `after` is the run before: this is its next attempt, which finds its checkpoint and its steps. With `cancelled` the
    run has been asked to stop; an event asks it once it is set. An exception of the task is raised, or returned as
    `Run.error` if `raises` is false. `on_event(kind, data)` is called for each log line, progress and piece of output.
    Raises InvalidValue for an input that the API would refuse, and InvalidOutput for a result that cannot be stored.

    An `async def` gets an event loop of its own; a test that has one awaits `run_async`.
    """
    case = _Case(task, input, after, cancelled, on_event)
    if case.task_type.lane is Lane.ASYNC:
        return asyncio.run(case.run_async(raises=raises))
    with case.noting(raises=raises):
        case.done.result = case.checked(case.call(RunContext(case.store)))
    return case.done


async def run_async(
    task: Callable[..., Any],
    input: Mapping[str, Any] | None = None,
    *,
    after: Run | None = None,
    cancelled: bool | threading.Event = False,
    raises: bool = True,
    on_event: OnEvent | None = None,
) -> Run:
    """`run` of an `async def`, on the event loop of the caller. Raises ValueError for a task in another lane."""
    case = _Case(task, input, after, cancelled, on_event)
    if case.task_type.lane is not Lane.ASYNC:
        raise ValueError(f"{case.task_type.name} is not async: call run")
    return await case.run_async(raises=raises)


class _Case:
    """One call of one task."""

    def __init__(
        self,
        task: Callable[..., Any],
        input: Mapping[str, Any] | None,
        after: Run | None,
        cancelled: bool | threading.Event,
        on_event: OnEvent | None,
    ) -> None:
        self.task_type = registry.of(task)
        self._given = _read(self.task_type, input or {})
        before = after or Run(attempt=0)
        self.done = Run(
            before.attempt + 1, checkpoint=before.checkpoint, steps=dict(before.steps), files=dict(before.files)
        )
        self.store = _MemoryStore(self.done, _claim(self.task_type, self.done), cancelled, on_event)

    def call(self, context: Context) -> Any:
        """Call the function of the task."""
        args, kwargs = self.task_type.arguments(context, self._given)
        return self.task_type.function(*args, **kwargs)

    async def run_async(self, *, raises: bool) -> Run:
        """Call an `async def`."""
        with self.noting(raises=raises):
            self.done.result = self.checked(await self.call(RunAsyncContext(self.store, _at_once, _at_once)))
        return self.done

    def checked(self, returned: Any) -> Any:
        """The result as JSON."""
        return json.loads(result_of(self.task_type, returned, self.store.bounds.result_bytes))

    @contextmanager
    def noting(self, *, raises: bool) -> Iterator[None]:
        """Note the task's last lines, and its exception unless it is to be raised."""
        try:
            yield
        except InvalidOutput:
            raise
        except Exception as error:
            if raises:
                raise
            self.done.error = error
        finally:
            self.store.flush()


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _read(task_type: TaskType, input: Mapping[str, Any]) -> Any:
    try:
        return task_type.input_model.model_validate_json(json.dumps(input))
    except ValidationError as error:
        raise InvalidValue(problems_of(error)) from None


def _claim(task_type: TaskType, done: Run) -> Claim:
    return Claim(
        id=uuid7(),
        fence=done.attempt,
        task_type=task_type.name,
        queue=task_type.queue,
        input="{}",
        attempt=done.attempt,
        tries=done.attempt,
        max_attempts=task_type.retry.max_attempts,
        timeout_s=task_type.timeout_s,
        checkpoint=done.checkpoint,
        traceparent=None,
        seq=0,
        claimed_at=datetime.now(UTC),
    )


class _MemoryStore:
    """Keeps in a `Run` what a `RunStore` stores in PostgreSQL."""

    def __init__(self, done: Run, claim: Claim, cancelled: bool | threading.Event, on_event: OnEvent | None) -> None:
        self.claim = claim
        self.bounds = DEFAULT_BOUNDS
        self.buffer = EventBuffer(self.bounds.log_lines, claim.seq, self.bounds.output_bytes)
        self._cancelled = cancelled
        self.files = _MemoryFiles(done)
        self._done = done
        self._on_event = on_event

    @property
    def should_stop(self) -> bool:
        return self._cancelled.is_set() if isinstance(self._cancelled, threading.Event) else self._cancelled

    def raise_if_stopped(self) -> None:
        if self.should_stop:
            raise JobCancelled("this run must stop: its caller asked for it")

    def event_added(self) -> None:
        self.flush()

    def flush(self) -> None:
        for event in self.buffer.take().events:
            self._keep(event.kind, dict(event.data))

    def publish(self, event: Event) -> None:
        self._keep(event.kind, dict(event.data))

    def checkpoint(self, text: str) -> None:
        self._done.checkpoint = json.loads(text)

    def find_step(self, name: str) -> Step | None:
        return Step(self._done.steps[name]) if name in self._done.steps else None

    def store_step(self, name: str, text: str) -> Any:
        return self._done.steps.setdefault(name, json.loads(text))

    def _keep(self, kind: str, data: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(kind, data)
        if kind == "log":
            self._done.logs.append(data["message"])
        elif kind == "progress":
            self._done.progress.append(data)
        elif kind == "output":
            self._done.emitted.append((data["name"], data["data"]))


class _MemoryFiles:
    """Keeps in a `Run` what a worker stores with `RunFiles`."""

    def __init__(self, done: Run) -> None:
        self._done = done
        self._content = bytearray()

    def begin(self, file: NewFile) -> None:
        if file.name not in self._done.files and len(self._done.files) >= DEFAULT_BOUNDS.files:
            raise InvalidValue(f"file: a job may have {DEFAULT_BOUNDS.files} files (LONGRUN_MAX_FILES)")

    @contextmanager
    def writer(self, _file: NewFile, _size: int) -> Iterator[_MemoryFiles]:
        self._content = bytearray()
        yield self

    def write(self, piece: bytes, /) -> None:
        self._content += piece

    def finish(self, file: NewFile, _size: int, _sha256: str) -> None:
        self._done.files[file.name] = File(file.media_type, bytes(self._content))

    def discard(self, file: NewFile) -> None:
        pass
