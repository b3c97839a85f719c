"""Calls a task as a worker does, without any server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from uuid_utils.compat import uuid7

from jobcore.errors import InvalidValue
from jobcore.models import Claim
from jobcore.states import Lane
from jobcore.tasks import Context, TaskType
from jobcore.tasks.registry import registry
from jobcore.testing.memory_store import InputContent, MemoryStore, OnEvent
from jobcore.testing.record import Run
from jobcore.worker.async_context import RunAsyncContext
from jobcore.worker.context import RunContext
from jobcore.worker.error_details import problems_of
from jobcore.worker.results import InvalidOutput, result_of


def run(
    task: Callable[..., Any],
    input: Mapping[str, Any] | None = None,
    *,
    after: Run | None = None,
    owner: str | None = None,
    cancelled: bool | threading.Event = False,
    raises: bool = True,
    on_event: OnEvent | None = None,
    files: Mapping[str, InputContent] = MappingProxyType({}),
) -> Run:
    """Call a function that `@task` has registered, with an input as a client sends it; returns what it did.

    `after` is the run before: this is its next attempt, which finds its checkpoint and its steps. `owner` is what the
    task finds as `ctx.owner`. With `cancelled` the run has been asked to stop; an event asks it once it is set. An
    exception of the task is raised, or returned as `Run.error` if `raises` is false. `on_event(kind, data)` is called
    for each log line, progress and piece of output.
    `files` are what `ctx.input_file` finds, by name: bytes, or a path.
    Raises InvalidValue for an input that the API would refuse, and InvalidOutput for a result that cannot be stored.

    An `async def` gets an event loop of its own; a test that has one awaits `run_async`.
    """
    case = _Case(task, input, after, owner, cancelled, on_event, files)
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
    owner: str | None = None,
    cancelled: bool | threading.Event = False,
    raises: bool = True,
    on_event: OnEvent | None = None,
    files: Mapping[str, InputContent] = MappingProxyType({}),
) -> Run:
    """`run` of an `async def`, on the event loop of the caller. Raises ValueError for a task in another lane."""
    case = _Case(task, input, after, owner, cancelled, on_event, files)
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
        owner: str | None,
        cancelled: bool | threading.Event,
        on_event: OnEvent | None,
        files: Mapping[str, InputContent],
    ) -> None:
        self.task_type = registry.of(task)
        self._given = _read(self.task_type, input or {})
        before = after or Run(attempt=0)
        self.done = Run(
            before.attempt + 1, checkpoint=before.checkpoint, steps=dict(before.steps), files=dict(before.files)
        )
        self.store = MemoryStore(self.done, _claim(self.task_type, self.done, owner), cancelled, on_event, files)

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
            self.store.close()


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _read(task_type: TaskType, input: Mapping[str, Any]) -> Any:
    try:
        return task_type.input_model.model_validate_json(json.dumps(input))
    except ValidationError as error:
        raise InvalidValue(problems_of(error)) from None


def _claim(task_type: TaskType, done: Run, owner: str | None) -> Claim:
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
        owner=owner,
    )
