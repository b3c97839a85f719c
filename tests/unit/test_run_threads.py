"""Threads belong to the run that started them, directly or not, and those of executors for all runs to none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from jobcore.supervision.child_state import RunKey
from jobcore.worker import run_threads
from jobcore.worker.event_buffer import EventBuffer
from jobcore.worker.process_starts import current_run
from jobcore.worker.run_threads import RunThreads

ONE, OTHER = RunKey(UUID(int=1), 1), RunKey(UUID(int=2), 1)


@dataclass
class Run:
    """A run that has a log."""

    key: RunKey
    buffer: EventBuffer = field(default_factory=lambda: EventBuffer(100, 0))

    @property
    def lines(self) -> list[str]:
        return [event.data["message"] for event in self.buffer.take().events]


@pytest.fixture
def end(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What the threads of a test wait for."""
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    monkeypatch.setattr(run_threads, "_left", [])
    monkeypatch.setattr(run_threads, "GRACE_S", 0.01)
    run_threads.install()
    before, end = set(threading.enumerate()), threading.Event()
    yield end
    end.set()
    for started in set(threading.enumerate()) - before:
        started.join()
    current_run.set(None)


def run(key: RunKey, start: Callable[[], object]) -> list[str]:
    """What the log says of a run that starts threads."""
    one = Run(key)
    current_run.set(key)
    with RunThreads(one):
        start()
    return one.lines


def thread(end: threading.Event, name: str) -> threading.Thread:
    return threading.Thread(target=end.wait, name=name)


def test_a_thread_of_a_thread_is_the_runs_and_those_of_others_are_not(end: threading.Event) -> None:
    begun = threading.Event()

    def outer() -> None:
        thread(end, "inner").start()
        begun.set()
        end.wait()

    def start() -> None:
        threading.Thread(target=outer, name="outer").start()
        begun.wait()

    [line] = run(ONE, start)
    assert line.endswith("process: outer, inner")
    [line] = run(OTHER, thread(end, "mine").start)
    assert line.endswith("process: mine")


def test_threads_that_end_and_those_of_shared_executors_are_not_left(end: threading.Event) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="to-thread") as executor:
        assert run(ONE, lambda: executor.submit(end.wait)) == []
        assert run(OTHER, threading.Thread(target=int).start) == []
        end.set()


def test_only_threads_that_go_on_count_against_the_child(end: threading.Event) -> None:
    for number in range(run_threads.MOST_LEFT - 1):
        run(RunKey(UUID(int=9), number), thread(end, f"left-{number}").start)
    assert not run_threads.too_many_left()
    ends_later = threading.Event()
    last = thread(ends_later, "ends later")
    run(OTHER, last.start)
    ends_later.set()
    last.join()
    assert not run_threads.too_many_left()
    run(OTHER, thread(end, "one more").start)
    assert run_threads.too_many_left()
