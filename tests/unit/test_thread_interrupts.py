"""An exception from another thread stops task code in a thread and nothing else: injected without mercy."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from uuid import UUID

import pytest

from jobcore.supervision.child_state import RunKey
from jobcore.supervision.stops import StopReason
from jobcore.worker.interrupts import JobInterrupted, noticing_lost_interrupts
from jobcore.worker.thread_interrupts import ThreadInterrupts
from tests.unit.interrupted_run import run_once, spin

ROUNDS = 5000
STRUCK = 3000
KEY = RunKey(UUID(int=1), 1)


class Rounds:
    """One run after the other in one thread; every interrupt is counted by where it struck."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.current: ThreadInterrupts | None = None
        self.over = False

    def run(self) -> None:
        for number in count(1):
            if number > ROUNDS and self.seen["struck"] >= STRUCK:
                break
            try:
                self.current = ThreadInterrupts()
                run_once(self.current, KEY, self.seen)
                spin()
            except JobInterrupted:
                self.seen["outside"] += 1
        self.over = True


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_interrupts_stop_task_code_alone_at_most_once_a_run_and_never_what_is_shielded() -> None:
    rounds = Rounds()
    thread = threading.Thread(target=rounds.run)
    thread.start()
    while not rounds.over:
        if rounds.current is not None:
            rounds.current.interrupt(StopReason.CANCEL)
        time.sleep(0.00002)  # the pace of the interrupts
    thread.join()
    seen = rounds.seen
    assert seen["outside"] == seen["twice"] == seen["shielded"] == seen["mistaken"] == 0
    assert seen["struck"] >= STRUCK


def test_an_interrupt_of_shielded_code_is_raised_at_the_end_of_the_shield() -> None:
    interrupts = ThreadInterrupts()

    def task() -> None:
        with interrupts.shield():
            other = threading.Thread(target=interrupts.interrupt, args=(StopReason.TIMEOUT,))
            other.start()
            other.join()
        raise AssertionError("not reached")

    with pytest.raises(JobInterrupted) as raised:
        interrupts.call(KEY, task)
    assert raised.value.reason is StopReason.TIMEOUT
    assert not interrupts.tainted, "it was raised where the task called us"


def test_an_interrupt_before_the_tasks_code_stops_it_before_it_begins() -> None:
    interrupts = ThreadInterrupts()
    interrupts.interrupt(StopReason.CANCEL)
    with pytest.raises(JobInterrupted):
        interrupts.call(KEY, pytest.fail, "not reached")


def test_an_interrupt_of_a_run_that_has_ended_reaches_nobody() -> None:
    interrupts = ThreadInterrupts()
    assert interrupts.call(KEY, lambda: 5) == 5
    interrupts.interrupt(StopReason.CANCEL)
    for _ in range(50):
        spin()


def test_code_that_was_struck_anywhere_taints_its_process() -> None:
    interrupts = ThreadInterrupts()
    began = threading.Event()

    def task() -> None:
        began.set()
        while True:
            spin()

    def strike() -> None:
        began.wait()
        interrupts.interrupt(StopReason.CANCEL)

    threading.Thread(target=strike).start()
    with pytest.raises(JobInterrupted):
        interrupts.call(KEY, task)
    assert interrupts.tainted


class Ignored:
    """An object at whose end Python ignores exceptions; an interrupt finds the task there."""

    def __init__(self, interrupts: ThreadInterrupts) -> None:
        self._interrupts = interrupts

    def __del__(self) -> None:
        other = threading.Thread(target=self._interrupts.interrupt, args=(StopReason.CANCEL,))
        other.start()
        other.join()
        spin()


def test_an_interrupt_that_python_ignored_is_raised_when_the_task_calls_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", noticing_lost_interrupts(sys.unraisablehook))
    interrupts = ThreadInterrupts()
    story: list[str] = []

    def task() -> None:
        Ignored(interrupts)
        story.append("goes on")
        with interrupts.shield():
            story.append("calls us")
        story.append("never")

    with pytest.raises(JobInterrupted):
        interrupts.call(KEY, task)
    assert story == ["goes on", "calls us"]
    assert interrupts.tainted
