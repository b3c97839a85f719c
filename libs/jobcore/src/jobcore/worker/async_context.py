"""`AsyncContext` of one run: its calls that wait for PostgreSQL are awaited, and run in a few threads (`Stored`).

A call that has begun ends before its awaiter continues, also if the awaiter is cancelled meanwhile. So what a run
stores is stored in the order of its code, and nothing is stored after its end.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, Unpack

from jobcore.models import StoredFile
from jobcore.store.steps import Step
from jobcore.tasks.program import Arguments, CompletedProgram, ProgramOptions
from jobcore.worker import programs
from jobcore.worker.context import BaseContext, ContextStore, RunContext, checkpoint_text
from jobcore.worker.program_start import Options

P = ParamSpec("P")
T = TypeVar("T")


class Stored:
    """Awaits blocking calls in a few threads of its own."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="run-store")

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in a thread, within the context of the caller.

        If this is cancelled, a call that has not begun never begins; else this waits for its end.
        """
        context = copy_context()
        future = self._threads.submit(lambda: context.run(function, *args, **kwargs))
        ended = asyncio.wrap_future(future)
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                cancelled = error
                future.cancel()
        if cancelled is None:
            return ended.result()
        if not ended.cancelled():
            ended.exception()  # otherwise asyncio logs that nobody asked for it
        raise cancelled


FILES: Final = Stored(4)
"""Copies files: a large one must not hold up what other runs of the child store."""


class RunAsyncContext(BaseContext):
    """The `AsyncContext` of one run; `stored` calls what waits for PostgreSQL (`Stored`), `copied` copies files.

    `log` and `emit` do not wait for room in the buffer, because no other task of the event loop would run meanwhile.
    """

    def __init__(
        self,
        store: ContextStore,
        stored: Callable[..., Awaitable[Any]],
        copied: Callable[..., Awaitable[Any]] = FILES,
    ) -> None:
        super().__init__(store)
        self._stored = stored
        self._copied = copied
        self._kept: dict[str, Step] = {}

    async def checkpoint(self, state: Any) -> None:
        """Store a JSON value durably before returning; the next run finds it in `checkpoint_state`."""
        await self._stored(self._store_checkpoint, checkpoint_text(state))
        self.raise_if_cancelled()

    async def step(self, name: str, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Return the stored result of the step, or call the function and store what it returns."""
        with self._once(name):
            done = self._kept.get(name) or await self._stored(self._find_step, name)
            if done:
                return done.result
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            return await self._stored(self._keep, name, result)

    async def run(self, args: Arguments, **options: Unpack[ProgramOptions]) -> CompletedProgram:
        """Run a program to its end, with its output in the job's log."""
        # the thread that reads its output waits for room in the log, which this context does not
        context = RunContext(self._store)
        return await programs.run_async(context, args, Options(**options))

    async def file(
        self, path: str | os.PathLike[str], name: str | None = None, *, media_type: str | None = None
    ) -> StoredFile:
        """Store a copy of the file at `path` as a result file of the job."""
        self.raise_if_cancelled()
        stored: StoredFile = await self._copied(self._store_file, path, name, media_type)
        return stored

    async def input_file(self, name: str) -> Path:
        """The local path of a file that the job was submitted with."""
        self.raise_if_cancelled()
        path: Path = await self._copied(self._input_file, name)
        return path

    def _keep(self, name: str, result: Any) -> Any:
        """Store the result; a step whose awaiter was cancelled meanwhile finds it when it is called again."""
        kept = self._store_step(name, result)
        self._kept[name] = Step(kept)
        return kept
