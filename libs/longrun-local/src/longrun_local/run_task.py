"""`longrun run NAME --field value`: run one task in this process, without any server.

The task gets the context of `jobcore.testing`: there is no retry, no timeout and no limit, and nothing is stored.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from asyncio import CancelledError
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, Final, TextIO

from jobcore.errors import InvalidValue, JobCancelled, PermanentError, RetryableError, UnknownTaskType
from jobcore.settings import CoreSettings, read
from jobcore.states import Lane
from jobcore.tasks import Registry, TaskType, load_tasks
from jobcore.testing import OnEvent, Run, run, run_async
from jobcore.worker.error_details import message_of, traceback_of
from jobcore.worker.results import InvalidOutput
from longrun_client.cli_input import given_input
from longrun_client.console import stderr
from longrun_client.follow import watch
from longrun_client.inputs import InputError, fields
from longrun_client.models import Event
from longrun_client.text import pretty_json, printable
from longrun_local.ctrl_c import interruptible
from longrun_local.errors import StartError
from longrun_local.sources import Sources

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def main(
    name: str | None,
    arguments: Sequence[str],
    input_json: str | None,
    tasks: Sequence[str],
    *,
    files: Mapping[str, Path] = MappingProxyType({}),
    owner: str | None = None,
    wants_help: bool,
) -> int:
    """Run the task and print its result; without a name, list the tasks. Returns the exit code. Raises InputError."""
    with _own_stdout() as out:
        registry = _load(tasks)
        if name is None:
            return _list(registry, out)
        task_type = _find(registry, name)
        if wants_help:
            return _describe(task_type, out)
        given = given_input(task_type.input_model.model_json_schema, arguments, input_json)
        return _run(task_type, given, files, owner, out)


def _load(tasks: Sequence[str]) -> Registry:
    try:
        return load_tasks((*read(CoreSettings).tasks, *Sources(tasks).modules))
    except StartError as error:
        raise InputError(str(error)) from None


def _find(registry: Registry, name: str) -> TaskType:
    try:
        return registry.get_submittable(name)
    except UnknownTaskType as error:
        raise InputError(str(error)) from None


def _list(registry: Registry, out: TextIO) -> int:
    listed = registry.submittable()
    width = max((len(task_type.name) for task_type in listed), default=0)
    for task_type in listed:
        print(f"{task_type.name:<{width}}  {task_type.description}".rstrip(), file=out)
    for module, why in registry.broken.items():
        _say(f"cannot import {module}: {why}")
    return 0


def _describe(task_type: TaskType, out: TextIO) -> int:
    print(f"longrun run {task_type.name} [--FIELD VALUE]…", file=out)
    if task_type.description:
        print(f"\n{task_type.description}", file=out)
    rows = list(fields(task_type.input_model.model_json_schema()))
    width = max((len(field) for field, _ in rows), default=0)
    print("".join(f"\n  {field:<{width}}  {takes}" for field, takes in rows) or "\nIt has no fields.", file=out)
    return 0


def _run(
    task_type: TaskType, given: Mapping[str, Any], files: Mapping[str, Path], owner: str | None, out: TextIO
) -> int:
    stop = threading.Event()
    try:
        with _shown() as on_event:
            done = _called(task_type, given, files, owner, stop, on_event)
    except InvalidValue as error:
        raise InputError(str(error)) from None
    except InvalidOutput as error:
        return _failed(error)
    except (JobCancelled, CancelledError, KeyboardInterrupt):
        return _cancelled()
    if done.error is not None:
        return _failed(done.error)
    if stop.is_set():
        return _cancelled()
    print(pretty_json(done.result), file=out)
    return 0


def _called(
    task_type: TaskType,
    given: Mapping[str, Any],
    files: Mapping[str, Path],
    owner: str | None,
    stop: threading.Event,
    on_event: OnEvent,
) -> Run:
    """What the run did; it is interrupted where it waits, as in a worker: an exception in its code, or a cancel."""
    if task_type.lane is not Lane.ASYNC:
        with interruptible(stop, _raise_cancelled):
            return run(
                task_type.function, given, owner=owner, cancelled=stop, raises=False, on_event=on_event, files=files
            )

    async def call() -> Run:
        loop, own = asyncio.get_running_loop(), asyncio.current_task()
        assert own is not None
        with interruptible(stop, lambda: loop.call_soon_threadsafe(own.cancel)):
            return await run_async(
                task_type.function, given, owner=owner, cancelled=stop, raises=False, on_event=on_event, files=files
            )

    return asyncio.run(call())


def _raise_cancelled() -> None:
    raise JobCancelled("this run must stop: Ctrl-C was pressed")


def _failed(error: Exception) -> int:
    """Say why, with the traceback unless the task raised one of our errors on purpose."""
    expected = isinstance(error, InvalidOutput | PermanentError | RetryableError)
    if isinstance(error, InvalidValue) or not expected:
        print(traceback_of(error).rstrip(), file=sys.stderr)
    _say(f"FAILED: {type(error).__name__}: {message_of(error)}")
    return FAILED


def _cancelled() -> int:
    _say("CANCELLED")
    return INTERRUPTED


def _say(text: str) -> None:
    print(f"longrun: {printable(text)}", file=sys.stderr)


@contextmanager
def _own_stdout() -> Iterator[TextIO]:
    """Standard output for the result alone: what a task prints, and the processes it starts, goes to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        try:
            yield out
        finally:
            sys.stdout.flush()
            out.flush()
            os.dup2(out.fileno(), 1)


@contextmanager
def _shown() -> Iterator[Any]:
    """A function that shows an event of the task on the terminal, as `longrun follow` does."""
    events: SimpleQueue[Event | None] = SimpleQueue()
    seqs = count(1)
    screen = threading.Thread(target=watch, args=[iter(events.get, None), stderr()], name="screen", daemon=True)
    screen.start()

    def show(kind: str, data: Mapping[str, Any]) -> None:
        events.put(Event(seq=next(seqs), kind=kind, at=datetime.now(UTC), attempt=1, data=dict(data)))

    try:
        yield show
    finally:
        events.put(None)
        screen.join()
