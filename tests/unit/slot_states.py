"""States of children, and a process that writes to a slot over and over while a test reads it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from jobcore.states import Lane
from jobcore.supervision.child_state import MAX_BACKGROUND, MAX_CLAIMS, ChildState, RunKey, RunState

FORK = multiprocessing.get_context("fork")
WATCH_S = 0.5
PID = 77


def state(number: int) -> ChildState:
    """A state of which every field says the same number."""
    key = RunKey(UUID(int=number), number)
    run = RunState(key, Lane.PROCESS, float(number), float(number))
    beside_it = RunState(key, Lane.THREAD if number % 3 else Lane.ASYNC, float(number), None)
    background = (beside_it,) * (number % MAX_BACKGROUND)
    return ChildState(PID, number % 2 == 1, (key,) * (number % MAX_CLAIMS), run, background)


def on_main_thread(key: RunKey) -> RunState:
    """The run of the process lane that began a while ago and has no time limit."""
    return RunState(key, Lane.PROCESS, 0.0, None)


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Run this over and over in a process of its own."""

    def forever() -> None:
        while True:
            work()

    process = FORK.Process(target=forever, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
