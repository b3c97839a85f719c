"""`ctx.step` on a real PostgreSQL: what is called, what is given back, and what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from jobcore.errors import InvalidStep, JobCancelled, StoreUnavailable
from jobcore.models import Claim
from jobcore.states import Lane
from jobcore.supervision.child_state import IDLE, RunState
from jobcore.supervision.slot import STOP_SIGNAL
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import Stop, StopReason
from jobcore.worker.context import RunContext
from jobcore.worker.interrupts import Interrupts, JobInterrupted
from jobcore.worker.run_store import RunStore
from jobcore.worker.steps import NAME_MAX
from jobcore.worker.values import DEFAULT_BOUNDS
from tests.integration.store.world import World

RESULT_MAX_BYTES = DEFAULT_BOUNDS.result_bytes


class Model(BaseModel):
    """No JSON by itself."""

    n: int = 1


class Runs:
    """Runs of one job after each other, and how often each step's function was really called."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.claim = world.running()
        self.slot = Slots(1, os.getpid())[0]
        self.interrupts = Interrupts(self.slot)
        self.calls: list[Any] = []
        self.store, self.context = self._run()

    def again(self, cause: str = "crash") -> RunContext:
        """The next run of the job."""
        self.world.release(self.claim, cause)  # type: ignore[arg-type]
        [self.claim] = self.world.take(self.world.worker())
        self.store, self.context = self._run()
        return self.context

    def give(self, result: Any) -> Any:
        """A step's function."""
        self.calls.append(result)
        return result

    def step(self, name: str, result: Any = 1) -> Any:
        """One step of the current run."""
        return self.context.step(name, self.give, result)

    def _run(self) -> tuple[RunStore, RunContext]:
        claim: Claim = self.claim
        store = RunStore(claim, self.slot, self.world.db, lambda _: None, lambda _: None)
        return store, RunContext(store, self.interrupts.shield)


@pytest.fixture
def runs(database_url: str) -> Iterator[Runs]:
    with World(database_url) as world:
        yield Runs(world)


def test_a_step_is_called_once_a_job_and_its_result_given_back(runs: Runs) -> None:
    assert [runs.step("a", {"id": 1}), runs.step("b", None)] == [{"id": 1}, None]
    runs.again("crash")
    assert [runs.step("a", 2), runs.step("b", 3), runs.step("c", 4)] == [{"id": 1}, None, 4]
    runs.again("loss")
    assert [runs.step("c", 5), runs.step("a", 6)] == [4, {"id": 1}]
    assert runs.calls == [{"id": 1}, None, 4]


@pytest.mark.parametrize("result", [(1, (2,)), {1: "a"}, 1e22, 1.0, {"b": 1, "a": [None, True, "ü"]}, 10**30, ""])
def test_the_first_attempt_is_given_exactly_what_any_other_is(runs: Runs, result: Any) -> None:
    first = runs.step("a", result)
    runs.again()
    later = runs.step("a", "never")
    assert (first, repr(first)) == (later, repr(later))


def test_a_function_that_raises_is_called_again_also_in_the_same_run(runs: Runs) -> None:
    def fail() -> None:
        runs.calls.append("failed")
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            runs.context.step("a", fail)
    runs.again()
    assert runs.step("a", 1) == 1
    assert runs.calls == ["failed", "failed", 1]


def test_a_name_is_used_once_in_a_run(runs: Runs) -> None:
    runs.step("a")
    with pytest.raises(InvalidStep, match="step 'a' has already run in this attempt: give each step its own name"):
        runs.step("a")
    runs.again()
    runs.step("a")
    with pytest.raises(InvalidStep):
        runs.step("a")
    assert runs.calls == [1]


@pytest.mark.parametrize("name", ["", "x" * (NAME_MAX + 1), "a\0b", "\ud800", None, 3])
def test_a_name_that_cannot_be_one_is_refused_before_the_function_is_called(runs: Runs, name: Any) -> None:
    with pytest.raises(InvalidStep, match="name"):
        runs.step(name)
    assert runs.calls == []


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (Model(), "not JSON.*Model is not JSON serializable.*model_dump"),
        ({"when": object()}, "not JSON"),
        (float("nan"), "not JSON"),
        ({"a": ["x\0"]}, r"its result\.a\[0\] contains a NUL"),
        ("\ud800", "lone surrogate"),
        (10**1001, "too large"),
        (
            "x" * RESULT_MAX_BYTES,
            rf"{RESULT_MAX_BYTES + 2:,} bytes as JSON, but may have {RESULT_MAX_BYTES:,} \(LONGRUN_MAX_RESULT_BYTES",
        ),
    ],
)
def test_a_result_that_cannot_be_stored_names_its_step_and_ends_the_job(runs: Runs, result: Any, says: str) -> None:
    with pytest.raises(InvalidStep, match=f"(?s)step 'a': .*{says}"):
        runs.step("a", result)
    runs.again()
    assert runs.step("a", "x" * (RESULT_MAX_BYTES - 2)) == "x" * (RESULT_MAX_BYTES - 2)


def test_a_cancelled_run_begins_no_other_step(runs: Runs) -> None:
    runs.step("a")
    runs.slot.write(
        IDLE._replace(pid=os.getpid(), claims=(runs.store.key,), main=RunState(runs.store.key, Lane.PROCESS, 0.0, None))
    )
    runs.slot.write_stops([Stop(runs.store.key, StopReason.CANCEL, interrupt=True)])
    with pytest.raises(JobCancelled):
        runs.step("b")
    assert runs.calls == [1]


def test_a_run_that_lost_its_claim_stops_at_its_step_and_stores_nothing(runs: Runs) -> None:
    stale = runs.context
    runs.again("loss")
    with pytest.raises(JobCancelled):
        stale.step("a", runs.give, "stale")
    assert stale.cancelled
    assert runs.step("a", "fresh") == "fresh"


def test_an_interrupt_while_a_result_is_stored_waits_until_it_is(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    key = runs.store.key
    call = runs.world.db.call

    def interrupted(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        runs.slot.write(IDLE._replace(pid=os.getpid(), claims=(key,), main=RunState(key, Lane.PROCESS, 0.0, None)))
        runs.slot.write_stops([Stop(key, StopReason.CANCEL, interrupt=True)])
        os.kill(os.getpid(), STOP_SIGNAL)
        return call(function, *args, **kwargs)

    monkeypatch.setattr(runs.world.db, "call", interrupted)
    with usr2(runs.interrupts), pytest.raises(JobInterrupted):
        runs.interrupts.call(key, runs.step, "a", 1)
    monkeypatch.undo()
    assert runs.world.sql("SELECT name FROM job_steps") == [{"name": "a"}]


def test_a_step_waits_for_a_database_that_is_away(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    call = runs.world.db.call
    away = iter([True, True])

    def sometimes(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if next(away, False):
            call(function, *args, **kwargs)
            raise StoreUnavailable("it committed, and the reply is lost")
        return call(function, *args, **kwargs)

    monkeypatch.setattr("jobcore.worker.run_store.RETRY_S", 0.01)
    monkeypatch.setattr(runs.world.db, "call", sometimes)
    assert runs.step("a", {"id": 1}) == {"id": 1}
    assert runs.calls == [{"id": 1}]


@contextmanager
def usr2(interrupts: Interrupts) -> Iterator[None]:
    """The signal as a pool child handles it."""
    before = signal.getsignal(STOP_SIGNAL)
    interrupts.install()
    try:
        yield
    finally:
        signal.signal(STOP_SIGNAL, before)
