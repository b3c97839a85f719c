"""SIGUSR2 stops task code and nothing else: real signals, sent without mercy to a real child process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import count, takewhile
from multiprocessing.connection import Connection
from uuid import UUID

import pytest

from jobcore.states import Lane
from jobcore.supervision.child_state import IDLE, ChildState, RunKey, RunState
from jobcore.supervision.slot import STOP_SIGNAL, Slot
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import Stop, StopReason
from jobcore.worker.interrupts import Interrupts, JobInterrupted
from tests.unit.interrupted_run import run_once, spin
from tests.unit.lone_forks import blocked

FORK = multiprocessing.get_context("fork")
ROUNDS = 5000
Report = Counter[str]


def key(number: int) -> RunKey:
    return RunKey(UUID(int=number), number)


def running(number: int) -> ChildState:
    return ChildState(os.getpid(), False, (key(number),), RunState(key(number), Lane.PROCESS, 0.0, None))


class Child:
    """Runs in a process of its own and reports what it saw of each kind."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.interrupts = Interrupts(slot)
        self.seen: Counter[str] = Counter()

    def rounds(self, strikes: int = 0) -> Report:
        """Many runs, and more until so many were struck; every interrupt is counted by where it struck."""
        self.interrupts.install()
        for number in takewhile(lambda number: number <= ROUNDS or self.seen["struck"] < strikes, count(1)):
            try:
                self.slot.write(running(number))
                run_once(self.interrupts, key(number), self.seen)
                self.slot.write(IDLE)
                spin()
            except JobInterrupted:
                self.seen["outside"] += 1
        return self.seen


def in_child(work: Callable[[Slot], Report], meanwhile: Callable[[int, Slot], None]) -> Report:
    """Run this in a child process, and that over and over beside it; returns the child's report."""
    slot = Slots(1, main_pid=os.getpid())[0]
    ours, theirs = multiprocessing.Pipe()

    def child(pipe: Connection) -> None:
        signal.signal(STOP_SIGNAL, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [STOP_SIGNAL])
        pipe.send(None)
        pipe.send(work(slot))

    process = FORK.Process(target=child, args=(theirs,))
    with blocked(STOP_SIGNAL):
        process.start()
    assert process.pid is not None
    try:
        ours.recv()
        while not ours.poll():
            meanwhile(process.pid, slot)
        report: Report = ours.recv()
        return report
    finally:
        process.kill()
        process.join()


def test_signals_stop_task_code_alone_at_most_once_a_run_and_never_what_is_shielded() -> None:
    requested: set[RunKey] = set()

    def press(pid: int, slot: Slot) -> None:
        for run in slot.read().runs:
            if run.key not in requested:
                requested.add(run.key)
                slot.write_stops([Stop(run.key, StopReason.CANCEL, interrupt=True)])
        os.kill(pid, STOP_SIGNAL)
        time.sleep(0.00002)  # the pace of the signals

    seen = in_child(lambda slot: Child(slot).rounds(strikes=50), press)
    assert seen["outside"] == seen["twice"] == seen["shielded"] == seen["mistaken"] == 0
    assert seen["struck"] >= 50


def test_signals_for_no_run_or_another_run_stop_nothing() -> None:
    def press(pid: int, _slot: Slot) -> None:
        os.kill(pid, STOP_SIGNAL)
        time.sleep(0.00002)  # the pace of the signals

    def work(slot: Slot) -> Report:
        slot.write_stops([Stop(key(ROUNDS + 1), StopReason.CANCEL, interrupt=True)])
        return Child(slot).rounds()

    seen = in_child(work, press)
    assert seen["struck"] == seen["outside"] == 0


@pytest.fixture
def slot() -> Slot:
    return Slots(1, main_pid=os.getpid())[0]


@pytest.fixture
def interrupts(slot: Slot) -> Interrupts:
    return Interrupts(slot)


@pytest.mark.parametrize("reason", [StopReason.CANCEL, StopReason.TIMEOUT, StopReason.DRAIN])
def test_the_interrupt_says_why(interrupts: Interrupts, slot: Slot, reason: StopReason) -> None:
    slot.write_stops([Stop(key(1), reason, interrupt=True)])
    with pytest.raises(JobInterrupted, match=reason.name.lower()) as stopped:
        interrupts.call(key(1), interrupts._handle, STOP_SIGNAL, None)
    assert stopped.value.reason is reason


def test_a_shield_puts_the_interrupt_off_until_its_end(interrupts: Interrupts, slot: Slot) -> None:
    slot.write_stops([Stop(key(1), StopReason.CANCEL, interrupt=True)])
    story: list[str] = []

    def task() -> None:
        with interrupts.shield():
            interrupts._handle(STOP_SIGNAL, None)
            with interrupts.shield():
                story.append("inside both")
            story.append("inside one")
        story.append("never")

    with pytest.raises(JobInterrupted):
        interrupts.call(key(1), task)
    assert story == ["inside both", "inside one"]


def test_an_interrupt_put_off_is_not_lost_when_the_shielded_code_raises(interrupts: Interrupts, slot: Slot) -> None:
    """The signal is sent once: were it lost here, the child would have to be killed."""
    slot.write_stops([Stop(key(1), StopReason.CANCEL, interrupt=True)])

    def task() -> None:
        with interrupts.shield():
            interrupts._handle(STOP_SIGNAL, None)
            raise ValueError("bad argument")

    with pytest.raises(JobInterrupted) as stopped:
        interrupts.call(key(1), task)
    assert isinstance(stopped.value.__context__, ValueError)


def test_an_interrupt_put_off_in_one_run_does_not_strike_the_next(interrupts: Interrupts, slot: Slot) -> None:
    def last_words() -> str:
        with interrupts.shield():
            interrupts._handle(STOP_SIGNAL, None)
        return "said"

    slot.write_stops([Stop(key(1), StopReason.CANCEL, interrupt=True)])
    last_words()
    slot.write_stops(())
    assert interrupts.call(key(2), last_words) == "said"


def test_what_the_task_returns_or_raises_passes_through(interrupts: Interrupts) -> None:
    assert interrupts.call(key(1), lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        interrupts.call(key(1), lambda: 1 / 0)
    interrupts._handle(STOP_SIGNAL, None)


class Ignored:
    """An object at whose end Python ignores exceptions; the signal finds the child there."""

    def __del__(self) -> None:
        os.kill(os.getpid(), STOP_SIGNAL)


@pytest.mark.parametrize("lost", [0, 1, 3], ids=lambda count: f"{count} lost")
def test_task_code_that_waits_is_woken_by_the_signal_also_if_python_ignored_the_first(lost: int) -> None:
    def task(slot: Slot) -> None:
        slot.write_stops([Stop(key(1), StopReason.CANCEL, interrupt=True)])
        for _ in range(lost):
            Ignored()
        slot.write(running(1))
        while True:
            signal.pause()

    def work(slot: Slot) -> Report:
        interrupts = Interrupts(slot)
        interrupts.install()
        try:
            interrupts.call(key(1), task, slot)
        except JobInterrupted:
            return Counter(woken=1)
        return Counter()

    def press(pid: int, slot: Slot) -> None:
        """As the supervisor does: until the handler says that it ran."""
        runs = [run.key for run in slot.read().runs]
        if runs == [key(1)] and not slot.was_interrupted(key(1)):
            os.kill(pid, STOP_SIGNAL)

    assert in_child(work, press) == {"woken": 1}
