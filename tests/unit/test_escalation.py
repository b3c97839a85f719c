"""A stop reaches the run that it is meant for, and costs its neighbours nothing that can be spared."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobcore.states import Lane
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import STOP_SIGNAL
from jobcore.supervision.stops import StopReason
from tests.unit.supervised import SETTINGS, Supervised, supervised

LATE_S = SETTINGS.cancel_kill_s + 0.5
"""When every stop is overdue, in seconds."""


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervised]:
    with supervised(monkeypatch) as made:
        yield made


def test_a_cancelled_run_of_any_lane_is_told_at_once_and_no_other_is(worker: Supervised) -> None:
    runs = {lane: worker.run(lane) for lane in Lane}
    other = worker.run(Lane.ASYNC)
    for key in runs.values():
        worker.request(key)
    assert set(worker.slot.stops) == set(runs.values())
    assert worker.slot.stop_reason(other) is StopReason.NONE
    assert worker.interrupted == {runs[Lane.ASYNC]}, "asyncio has no gentler way"
    assert worker.children.sent == []


def test_a_run_that_does_not_ask_is_interrupted_in_the_way_of_its_lane(worker: Supervised) -> None:
    runs = {lane: worker.run(lane) for lane in Lane}
    for key in runs.values():
        worker.request(key)
    worker.pass_s(SETTINGS.cancel_signal_s + 0.2)
    assert worker.interrupted == set(runs.values())
    assert worker.children.sent == [(0, STOP_SIGNAL)], "only the main thread needs a signal"


def test_the_signal_is_sent_again_until_its_handler_has_run(worker: Supervised) -> None:
    worker.children.blocks = True
    worker.request(worker.run(Lane.PROCESS), StopReason.TIMEOUT)
    worker.pass_s(1)
    assert worker.children.sent.count((0, STOP_SIGNAL)) > 1
    worker.children.blocks = False
    worker.pass_s(0.2)
    handled = len(worker.children.sent)
    worker.pass_s(1)
    assert len(worker.children.sent) == handled


def test_no_signal_is_sent_to_a_run_that_is_overdue(worker: Supervised) -> None:
    worker.children.blocks = True
    worker.run(Lane.THREAD)
    worker.request(worker.run(Lane.PROCESS))
    worker.pass_s(LATE_S)
    overdue = len(worker.children.sent)
    worker.pass_s(1)
    assert len(worker.children.sent) == overdue


@pytest.mark.parametrize("reason", [StopReason.TIMEOUT, StopReason.DRAIN])
def test_a_timeout_or_a_drain_interrupts_at_once(worker: Supervised, reason: StopReason) -> None:
    thread, main = worker.run(Lane.THREAD), worker.run(Lane.PROCESS)
    worker.request(thread, reason)
    worker.request(main, reason)
    assert worker.interrupted == {thread, main}
    assert worker.children.sent == [(0, STOP_SIGNAL)]
    assert worker.slot.stop_reason(thread) is reason


@pytest.mark.parametrize("lane", Lane)
def test_a_run_alone_in_its_child_is_killed_when_it_is_overdue(worker: Supervised, lane: Lane) -> None:
    worker.request(worker.run(lane))
    worker.pass_s(SETTINGS.cancel_kill_s - 0.4)
    assert not worker.children.killed
    worker.pass_s(0.6)
    assert worker.children.sent[-1] == (0, signal.SIGKILL)
    worker.pass_s(60)
    assert worker.children.sent.count((0, signal.SIGKILL)) == 1


@pytest.mark.parametrize("neighbour", Lane)
def test_an_overdue_run_makes_its_child_retire_and_its_neighbours_may_finish(
    worker: Supervised, neighbour: Lane
) -> None:
    beside, stuck = worker.run(neighbour), worker.run(Lane.THREAD)
    worker.request(stuck)
    worker.pass_s(LATE_S)
    assert worker.slot.retiring
    worker.pass_s(SETTINGS.retire_s - 1)
    assert not worker.children.killed
    worker.end(beside)
    worker.pass_s(0.2)
    assert worker.children.killed


def test_the_time_that_neighbours_get_is_bounded(worker: Supervised) -> None:
    worker.run(Lane.ASYNC)
    worker.request(worker.run(Lane.THREAD))
    worker.pass_s(SETTINGS.cancel_kill_s + SETTINGS.retire_s - 0.6)
    assert not worker.children.killed
    worker.pass_s(1)
    assert worker.children.killed


def test_a_child_that_gets_or_has_unstarted_claims_is_not_killed_before_they_are_settled(worker: Supervised) -> None:
    worker.request(worker.run(Lane.THREAD))
    worker.child.claiming()
    worker.pass_s(LATE_S)
    assert worker.slot.retiring
    assert not worker.children.killed
    worker.child.claimed(())
    (unstarted,) = worker.claim()
    worker.pass_s(1)
    assert not worker.children.killed
    worker.child.remove([unstarted])
    worker.pass_s(0.2)
    assert worker.children.killed


def test_a_child_may_claim_again_once_its_overdue_run_has_ended_after_all(worker: Supervised) -> None:
    worker.run(Lane.ASYNC)
    stuck = worker.run(Lane.THREAD)
    worker.request(stuck)
    worker.pass_s(LATE_S)
    assert worker.slot.retiring
    worker.end(stuck)
    worker.pass_s(0.2)
    assert not worker.slot.retiring
    assert worker.slot.stops == {}
    worker.pass_s(SETTINGS.retire_s * 2)
    assert not worker.children.killed


def test_a_damaged_slot_hides_no_run_that_must_stop(worker: Supervised, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.request(worker.run(Lane.PROCESS))
    monkeypatch.setattr(worker.slot._state, "read", lambda: None)
    worker.pass_s(LATE_S)
    assert worker.children.killed


def test_a_second_stop_of_a_run_and_one_of_a_run_that_is_over_are_refused(worker: Supervised) -> None:
    key = worker.run(Lane.ASYNC)
    worker.request(key)
    assert not worker.escalation.request(0, key, StopReason.TIMEOUT)
    worker.end(key)
    worker.pass_s(0.2)
    assert not worker.escalation.request(0, key, StopReason.CANCEL)


def test_the_successor_of_a_dead_child_inherits_no_stop(worker: Supervised) -> None:
    worker.request(worker.run(Lane.THREAD))
    worker.pass_s(LATE_S)
    worker.escalation.forget(0)
    worker.slot.clear()
    worker.run(Lane.THREAD)
    worker.pass_s(60)
    assert worker.children.sent.count((0, signal.SIGKILL)) == 1
    assert worker.slot.stops == {}
    assert not worker.slot.retiring


class Child(RuleBasedStateMachine):
    """Runs begin and end in any order while stops are requested and time passes."""

    worker: Supervised

    @initialize()
    def start(self) -> None:
        self.running: dict[RunKey, Lane] = {}
        self.asked: dict[RunKey, float] = {}

    @rule(lane=st.sampled_from(Lane))
    @precondition(lambda self: not self.worker.children.killed)
    def begin(self, lane: Lane) -> None:
        free = lane is not Lane.PROCESS or (
            Lane.PROCESS not in self.running.values() and not any(key in self.worker.slot.stops for key in self.over())
        )
        if free and not self.worker.slot.retiring:
            self.running[self.worker.run(lane)] = lane

    def over(self) -> set[RunKey]:
        return self.asked.keys() - self.running.keys()

    @rule(data=st.data())
    @precondition(lambda self: self.running)
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.running)))
        del self.running[key]
        self.worker.end(key)

    @rule(data=st.data(), reason=st.sampled_from([StopReason.CANCEL, StopReason.TIMEOUT, StopReason.DRAIN]))
    @precondition(lambda self: self.running)
    def stop(self, data: st.DataObject, reason: StopReason) -> None:
        key = data.draw(st.sampled_from(list(self.running)))
        if self.worker.escalation.request(0, key, reason):
            self.asked[key] = self.worker.now

    @rule(seconds=st.sampled_from([0.2, 1, 3, 9, 31]))
    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.worker.now += 0.2
            was_killed = self.worker.children.killed
            signals = self.worker.children.sent.count((0, STOP_SIGNAL))
            self.worker.escalation.escalate()
            self.check_kill(was_killed)
            if self.worker.children.sent.count((0, STOP_SIGNAL)) > signals:
                assert any(self.running.get(key) is Lane.PROCESS for key in self.asked)

    def check_kill(self, was_killed: bool) -> None:
        if was_killed or not self.worker.children.killed:
            return
        waited = {key: self.worker.now - asked for key, asked in self.asked.items() if key in self.running}
        overdue = {
            key for key, seconds in waited.items() if seconds >= SETTINGS.cancel_kill_s - SETTINGS.cancel_signal_s
        }
        assert overdue, "a child is killed only for a run that was asked to stop, and did not"
        if self.running.keys() - overdue:
            assert max(waited.values()) >= SETTINGS.retire_s, "neighbours get their time"

    @rule()
    def round(self) -> None:
        self.worker.escalation.escalate()
        assert set(self.worker.slot.stops) == self.asked.keys() & self.running.keys()

    @invariant()
    def no_stop_reaches_a_run_for_which_it_was_not_asked(self) -> None:
        if hasattr(self, "asked"):
            assert self.worker.slot.stops.keys() <= self.asked.keys()

    def teardown(self) -> None:
        for key in getattr(self, "running", ()):
            self.worker.end(key)
        self.worker.escalation.escalate()
        assert self.worker.slot.stops == {}, "every stop is withdrawn"
        assert not self.worker.slot.retiring


def test_no_stop_reaches_a_run_for_which_it_was_not_asked_and_each_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fresh(Child):
        def __init__(self) -> None:
            self._made = supervised(monkeypatch)
            self.worker = self._made.__enter__()
            super().__init__()

        def teardown(self) -> None:
            super().teardown()
            self._made.__exit__(None, None, None)

    run_state_machine_as_test(Fresh, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))
