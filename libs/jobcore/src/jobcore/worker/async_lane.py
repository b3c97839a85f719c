"""The async lane: one event loop in a thread of its own runs the `async def` tasks of a child beside each other.

    start       a run becomes an asyncio task, with a context of its own
    interrupt   `task.cancel()`: CancelledError in the task's code, and nowhere else
    end         tasks that the run left behind are cancelled and awaited; then its outcome is reported

Whatever a task raises, SystemExit and KeyboardInterrupt too, ends its run and not the loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakSet

from jobcore.models import Outcome
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import BEAT_S, Slot
from jobcore.supervision.stops import Stop
from jobcore.tasks.registry import TaskFunction
from jobcore.telemetry import logs
from jobcore.worker.async_context import Stored
from jobcore.worker.background_run import BackgroundRun
from jobcore.worker.output_capture import CapturedStream, of_job_in_context
from jobcore.worker.run_steps import RunSteps

LEFT_BEHIND_S: Final = 5.0
"""How long the tasks that a run left behind may take to end once they are cancelled, in seconds."""
NAMES_MAX: Final = 5

T = TypeVar("T")

log = logs.get(__name__)
_here: contextvars.ContextVar[_Live] = contextvars.ContextVar("longrun_run")
"""The run whose code runs in this context."""


class AsyncLane:
    """Runs async tasks; `on_ended` gets the runs that have ended, from the loop's thread."""

    def __init__(
        self,
        slot: Slot,
        on_ended: Callable[[Sequence[BackgroundRun]], None],
        *,
        store_threads: int,
        threads: int,
        streams: Iterable[CapturedStream] = (),
    ) -> None:
        self._slot = slot
        self._on_ended = on_ended
        self._streams = tuple(streams)
        self.stored = Stored(store_threads)
        self._live: dict[RunKey, _Live] = {}
        self._ended: list[BackgroundRun] = []
        self._beats = False
        self.executing: BackgroundRun | None = None
        """The run whose code the loop executes now."""
        self.loop = asyncio.new_event_loop()
        self.loop.set_task_factory(_create_task)  # type: ignore[arg-type]
        self.loop.set_exception_handler(_log_error)
        # what tasks call by asyncio.to_thread; asyncio's own default has six threads on two cores
        self.loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="to-thread"))
        self.thread = threading.Thread(target=self._turn, name="event-loop", daemon=True)
        self.thread.start()

    @property
    def died(self) -> bool:
        """Whether the loop's thread has ended, which none of ours does: native code ended it."""
        thread = self.thread.native_id
        # Python itself does not notice the end of a thread by pthread_exit
        gone = sys.platform == "linux" and thread is not None and not os.path.exists(f"/proc/self/task/{thread}")
        return gone or not self.thread.is_alive()

    def start(self, runs: Sequence[BackgroundRun]) -> None:
        """Start these runs; any thread may call it."""
        context = contextvars.copy_context()  # of the wake-up, to which the runs' spans are linked
        self.loop.call_soon_threadsafe(self._begin, runs, context)

    def interrupt(self, stop: Stop) -> bool:
        """Cancel the task of this run; False if it is not here. Any thread may call it."""
        if stop.key not in self._live:
            return False
        self.loop.call_soon_threadsafe(self._cancel, stop.key)
        return True

    def execute(self, run: BackgroundRun | None) -> None:
        """The loop executes code of this run from now on; None: of no run."""
        self.executing = run
        self._slot.post_loop_run(run.key if run else None)

    def _turn(self) -> None:
        logs.of_job_in_context("")
        while True:
            try:
                self.loop.run_forever()
            except BaseException as error:
                # a task of a task raised SystemExit or KeyboardInterrupt, which asyncio lets pass through its loop
                log.warning("a task raised an exception that ends event loops; the loop continues", error=repr(error))

    def _begin(self, runs: Sequence[BackgroundRun], context: contextvars.Context) -> None:
        for run in runs:
            live = self._live[run.key] = _Live(run, self)
            steps = live.steps(live.execute(self._streams))
            live.task = self.loop.create_task(steps, context=context.copy())
            live.task.add_done_callback(partial(self._done, live))
        if not self._beats:
            self._beats = True
            self._beat()

    def _beat(self) -> None:
        """Tell the supervisor that the loop turns, while it has runs."""
        self._beats = bool(self._live)
        self._slot.post_loop_beat(time.monotonic() if self._beats else 0.0)
        if self._beats:
            self.loop.call_later(BEAT_S, self._beat)

    def _cancel(self, key: RunKey) -> None:
        live = self._live.get(key)
        if live is not None and live.inside and not live.run.interrupted:
            live.run.interrupted = True
            live.task.cancel()

    def _done(self, live: _Live, task: asyncio.Task[Outcome | None]) -> None:
        run = live.run
        del self._live[run.key]
        if task.cancelled():
            run.end(None)  # before it began
        elif error := task.exception():
            log.error("a run failed outside its task; it is handed back", job_id=str(run.claim.id), exc_info=error)
            run.tainted = True
            run.end(None)
        else:
            run.end(task.result())
        if not self._ended:
            self.loop.call_soon(self._report)
        self._ended.append(run)

    def _report(self) -> None:
        """Report all runs that ended in this turn of the loop at once."""
        ended, self._ended = self._ended, []
        self._on_ended(ended)


class _Live:
    """A run on the event loop: the `AsyncHost` of its task's code."""

    def __init__(self, run: BackgroundRun, lane: AsyncLane) -> None:
        self.run = run
        self.stored = lane.stored
        self._lane = lane
        self.task: asyncio.Task[Outcome | None]
        self.inside = True
        """Whether the task's code runs, or is about to; nothing else is cancelled."""
        self.left: WeakSet[asyncio.Task[Any]] = WeakSet()
        """The tasks that the run has started."""

    def steps(self, coroutine: Coroutine[Any, Any, Any]) -> RunSteps:
        """The coroutine as one of this run's."""
        return RunSteps(coroutine, partial(self._lane.execute, self.run), partial(self._lane.execute, None))

    async def execute(self, streams: Sequence[CapturedStream]) -> Outcome | None:
        """Run the job."""
        _here.set(self)
        self.run.began = time.monotonic()
        with of_job_in_context(str(self.run.claim.id), streams):
            return await self.run.job.execute_async(self)

    async def call(self, function: TaskFunction, /, *args: Any, **kwargs: Any) -> Any:
        """Call an `async def`, and end the tasks that it leaves behind."""
        try:
            return await function(*args, **kwargs)
        finally:
            self.inside = False
            if len(self.left):
                await self._end_left_behind()

    async def _end_left_behind(self) -> None:
        ended_by = time.monotonic() + LEFT_BEHIND_S
        names: list[str] = []
        while left := [task for task in self.left if not task.done()]:
            names += [task.get_name() for task in left if task.cancel()]
            await asyncio.wait(left, timeout=max(0.0, ended_by - time.monotonic()))
            if time.monotonic() >= ended_by:
                break
        if names:
            running = sum(not task.done() for task in self.left)
            self.run.tainted = running > 0
            self.run.store.buffer.add_line("warning", _left_behind(names, running))


def _left_behind(names: Sequence[str], running: int) -> str:
    shown = ", ".join(dict.fromkeys(names[:NAMES_MAX]))
    end = f"; {running} did not end within {LEFT_BEHIND_S:g} s" if running else ""
    return f"the task returned before {len(set(names))} of its asyncio tasks; they were cancelled ({shown}){end}"


def _create_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    """Make a task, and note it with the run that started it."""
    live = _here.get(None)
    if live is None:
        return asyncio.Task(coroutine, loop=loop, **options)
    task = asyncio.Task(live.steps(coroutine), loop=loop, **options)
    live.left.add(task)
    return task


def _log_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what asyncio reports, such as an exception of a task that nobody awaited."""
    log.warning(context.get("message", "asyncio error"), exc_info=context.get("exception"))
