"""A blocked event loop is seen from outside: its lag is measured, its run named, its stacks asked for once."""

from __future__ import annotations

import os
from types import SimpleNamespace
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from jobcore.host.processes import Process
from jobcore.states import Lane
from jobcore.supervision import loop_lag
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.loop_lag import STACKS, WINDOW_S, Highest, LoopLag
from jobcore.supervision.slots import Slots
from jobcore.telemetry import metrics
from jobcore.worker.child_claims import ChildClaims
from tests.unit.supervised import Recorder


class Watched:
    """Two children whose loops turn or not, and a clock that the test moves."""

    lag: LoopLag

    def __init__(self) -> None:
        self.now = 1000.0
        self.slots = Slots(2, os.getpid())
        self.children = Recorder(self.slots, Process(os.getpid()))
        self.shown: list[float] = []

    def pass_s(self, seconds: float, *, turning: tuple[int, ...] = ()) -> None:
        """Let time pass, with a round of the supervisor every fifth of a second; only these loops turn."""
        for _ in range(round(seconds * 5)):
            self.now += 0.2
            for slot in turning:
                self.slots[slot].post_loop_beat(self.now)
            self.lag.check()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched()
    monkeypatch.setattr(loop_lag, "time", SimpleNamespace(monotonic=lambda: made.now))
    monkeypatch.setattr(metrics.LOOP_LAG, "set", lambda values: made.shown.append(values[()]))
    made.lag = LoopLag(made.slots, made.children)
    return made


def test_a_loop_that_turns_or_has_nothing_to_run_is_not_late(watched: Watched) -> None:
    watched.pass_s(10, turning=(0,))
    assert max(watched.shown) < 0.2
    assert watched.children.sent == []


def test_each_stall_is_reported_once_with_the_run_whose_code_is_executed(watched: Watched) -> None:
    child, keys = ChildClaims(watched.slots[1], 7), [RunKey(uuid4(), 1), RunKey(uuid4(), 1)]
    child.begin_background([(key, Lane.ASYNC, None) for key in keys])
    with capture_logs() as logged:
        for key in keys:
            watched.pass_s(1, turning=(0, 1))
            watched.slots[1].post_loop_run(key)
            watched.pass_s(3, turning=(0,))
    assert [line["job_id"] for line in logged] == [str(key.id) for key in keys]
    assert watched.children.sent == [(1, STACKS)] * 2
    assert 2.5 < max(watched.shown) < 3.5


def test_a_freeze_of_the_whole_worker_is_no_stall(watched: Watched) -> None:
    watched.pass_s(1, turning=(0,))
    watched.now += 60
    watched.pass_s(0.2)
    watched.pass_s(5, turning=(0,))
    assert watched.children.sent == []


def test_the_metric_shows_a_stall_until_it_was_exported_and_not_for_ever() -> None:
    highest = Highest()
    assert highest.of(3.0, 100.0) == 3.0
    assert highest.of(0.0, 100.0 + WINDOW_S) == 3.0
    assert highest.of(0.5, 100.1 + WINDOW_S) == 3.0
    assert highest.of(0.0, 100.2 + 2 * WINDOW_S) == 0.5
    assert highest.of(0.0, 100.3 + 5 * WINDOW_S) == 0.0
