"""The threads of a run: those that it leaves behind are named in its log, and a child with many of them retires.

Nothing can end a thread from outside, so what a run leaves goes on beside later runs of its child. `Thread.start` is
wrapped to note whose run a thread is: that of the calling context, or that of the thread that starts it. The threads of
executors for calls that may belong to any run, and our own, belong to none.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from jobcore.errors import JobCancelled
from jobcore.worker.process_starts import current_run
from jobcore.worker.run_processes import StartingRun

MOST_LEFT: Final = 20
"""A child with so many threads of runs that have ended retires."""
GRACE_S: Final = 0.1
"""How long a thread that is about to end may take, in seconds."""
POLL_S: Final = 0.005
NAMED_MAX: Final = 5
SHARED: Final = ("to-thread", "run-store", "run-processes")
"""How the threads of executors that all runs share are named."""

_RUN: Final = "_longrun_run"
"""The attribute of a thread that says whose it is."""
_noted = 0
"""Rises with every thread whose run is noted: a run during which it stays the same has started none."""
_left: list[threading.Thread] = []
"""The threads that runs have left, as far as they go on."""


def install() -> None:
    """Note the run of each thread that is started from now on in this process."""
    original = threading.Thread.start
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def started(self: threading.Thread) -> None:
        global _noted
        run = current_run.get() or getattr(threading.current_thread(), _RUN, None)
        if run is not None and not _is_ours(self):
            setattr(self, _RUN, run)
            _noted += 1
        original(self)

    setattr(threading.Thread, "start", started)  # noqa: B010 (mypy accepts no assignment to a method)


def too_many_left() -> bool:
    """Whether runs that have ended left so many threads that this child should end."""
    global _left
    if len(_left) >= MOST_LEFT:
        _left = [thread for thread in _left if thread.is_alive()]
    return len(_left) >= MOST_LEFT


class RunThreads:
    """Threads that the code in a `with` block starts and leaves are named in the job's log, unless it was stopped."""

    def __init__(self, run: StartingRun) -> None:
        self._run = run
        self._noted_before = _noted

    def __enter__(self) -> None:
        """Begin."""

    async def __aenter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not (started := self._alive()):
            return
        give_up_at = time.monotonic() + GRACE_S
        for thread in started:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        self._tell(kind, self._alive())

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        give_up_at = time.monotonic() + GRACE_S
        while (left := self._alive()) and time.monotonic() < give_up_at:  # noqa: ASYNC110 (nothing tells of their end)
            await asyncio.sleep(POLL_S)  # a join would block the event loop
        self._tell(kind, left)

    def _alive(self) -> list[threading.Thread]:
        if _noted == self._noted_before:
            return []
        key = self._run.key
        return [thread for thread in threading.enumerate() if getattr(thread, _RUN, None) == key]

    def _tell(self, kind: type[BaseException] | None, left: Sequence[threading.Thread]) -> None:
        _left.extend(left)
        if left and not (kind and issubclass(kind, JobCancelled | asyncio.CancelledError)):
            self._run.buffer.add_line("warning", left_running([thread.name for thread in left]))


def left_running(names: Sequence[str]) -> str:
    """The line for the log of a job whose run left threads with these names."""
    count = "a thread" if len(names) == 1 else f"{len(names)} threads"
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"this run left {count} running, which nothing can end but the end of its process: " + (
        ", ".join(names[:NAMED_MAX]) + more
    )


def _is_ours(thread: threading.Thread) -> bool:
    target: Any = getattr(thread, "_target", None)
    of_jobcore = str(getattr(target, "__module__", "")).startswith("jobcore.")
    return of_jobcore or thread.name.startswith(SHARED)
