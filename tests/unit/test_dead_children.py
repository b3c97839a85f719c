"""Whose fault the death of a child is, and what its runs are told: the culprit alone pays, if it can be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest

from jobcore.models import RunningJob
from jobcore.states import Lane
from jobcore.store.cancellations import CompletedCancel, OpenCancel
from jobcore.store.releases import Release
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.children import Death
from jobcore.supervision.dead_children import DeadChildren
from jobcore.supervision.stops import StopReason
from jobcore.supervision.worker_claims import WorkerClaims
from tests.unit.supervised import SETTINGS, Supervised, supervised

WORKER = UUID(int=9)
LATE_S = SETTINGS.cancel_kill_s + 0.5


class Claims:
    """PostgreSQL's rows of one child: those that are RUNNING, and those that were cancelled."""

    def __init__(self) -> None:
        self.rows: list[RunningJob] = []
        self.cancelled: list[OpenCancel] = []
        self.causes: dict[RunKey, str] = {}
        self.methods: dict[RunKey, str] = {}

    def running(self) -> list[RunningJob]:
        return self.rows

    def open_cancels(self) -> list[OpenCancel]:
        return self.cancelled

    def release(self, ended: Sequence[Release]) -> list[object]:
        self.causes |= {RunKey(one.id, one.fence): one.cause for one in ended}
        return []

    def complete_cancels(self, completed: Sequence[CompletedCancel]) -> None:
        self.methods |= {RunKey(one.id, one.fence): one.method for one in completed}


class Dying:
    """A child that dies in a test, and what becomes of its runs."""

    def __init__(self, worker: Supervised) -> None:
        self.worker = worker
        self.claims = Claims()
        self.dead = DeadChildren(worker.children, worker.escalation, cast(WorkerClaims, self.claims))

    def run(self, lane: Lane, *, cancelled: bool = False) -> RunKey:
        """A run of this lane, whose job was cancelled if it says so."""
        key = self.worker.run(lane)
        if cancelled:
            self.claims.cancelled.append(OpenCancel(key.id, key.fence, 0))
            self.worker.request(key)
        else:
            self.has_row(key)
        return key

    def has_row(self, key: RunKey) -> None:
        """PostgreSQL says that this run is RUNNING."""
        self.claims.rows.append(RunningJob(WORKER, key.id, "t", Lane.PROCESS, 0, key.fence, 1, datetime.now(UTC)))

    def die(self, *, others: int = 0) -> dict[RunKey, str]:
        """The child dies, and others with it; why its runs are released."""
        slot = self.worker.slot
        killed_for = self.worker.children._killed_for.get(0)
        death = Death(0, slot.read(), slot.loop_run, killed_for)
        elsewhere = [Death(1, self.worker.slots[1].read())] * others
        self.dead.account_for([death, *elsewhere])
        return self.claims.causes


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dying]:
    with supervised(monkeypatch) as worker:
        yield Dying(worker)


@pytest.mark.parametrize("lane", Lane)
def test_a_run_that_is_alone_in_a_child_that_dies_counts_a_crash(dying: Dying, lane: Lane) -> None:
    key = dying.run(lane)
    assert dying.die() == {key: "crash"}


def test_the_async_run_whose_code_was_executed_counts_the_crash_and_its_neighbours_are_handed_back(
    dying: Dying,
) -> None:
    waiting, culprit, other = (dying.run(Lane.ASYNC) for _ in range(3))
    dying.worker.slot.post_loop_run(culprit)
    assert dying.die() == {waiting: "handed_back", culprit: "crash", other: "handed_back"}


def test_the_run_on_the_main_thread_counts_the_crash_while_the_event_loop_was_idle(dying: Dying) -> None:
    main, waiting = dying.run(Lane.PROCESS), dying.run(Lane.ASYNC)
    assert dying.die() == {main: "crash", waiting: "handed_back"}


@pytest.mark.parametrize("lane", [Lane.PROCESS, Lane.THREAD])
def test_runs_are_suspected_if_more_than_one_may_have_done_it_and_the_others_are_handed_back(
    dying: Dying, lane: Lane
) -> None:
    one, other, waiting = dying.run(lane), dying.run(Lane.ASYNC), dying.run(Lane.ASYNC)
    dying.worker.slot.post_loop_run(other)
    assert dying.die() == {one: "suspected", other: "suspected", waiting: "handed_back"}


def test_runs_that_only_waited_are_suspected_if_none_did_more(dying: Dying) -> None:
    """A library's thread has ended the child, the kernel for want of memory, or an operator."""
    keys = [dying.run(Lane.ASYNC) for _ in range(3)]
    assert dying.die() == dict.fromkeys(keys, "suspected")


def test_several_deaths_at_once_accuse_nobody(dying: Dying) -> None:
    key = dying.run(Lane.PROCESS)
    assert dying.die(others=1) == {key: "loss"}


def test_a_job_whose_outcome_was_not_stored_counts_a_loss_and_an_unknown_claim_nothing(dying: Dying) -> None:
    key = dying.run(Lane.ASYNC)
    dying.worker.child.end_background([key])
    stranger = RunKey(UUID(int=5), 1)
    dying.has_row(stranger)
    assert dying.die() == {key: "loss", stranger: "handed_back"}


@pytest.mark.parametrize("reason", [StopReason.TIMEOUT, StopReason.DRAIN])
def test_neighbours_of_a_run_that_had_to_be_killed_are_handed_back(dying: Dying, reason: StopReason) -> None:
    neighbour, culprit = dying.run(Lane.ASYNC), dying.run(Lane.THREAD)
    dying.worker.request(culprit, reason)
    dying.worker.pass_s(LATE_S + SETTINGS.retire_s)
    assert dying.worker.children.killed
    expected = "timeout" if reason is StopReason.TIMEOUT else "handed_back"
    assert dying.die() == {neighbour: "handed_back", culprit: expected}


def test_the_receipt_of_a_killed_run_says_so_and_its_neighbours_are_handed_back(dying: Dying) -> None:
    neighbour, culprit = dying.run(Lane.ASYNC), dying.run(Lane.THREAD, cancelled=True)
    dying.worker.pass_s(LATE_S + SETTINGS.retire_s)
    assert dying.die() == {neighbour: "handed_back"}
    assert dying.claims.methods == {culprit: "kill"}


def test_a_cancel_that_came_just_before_the_child_died_by_itself_lost_its_worker(dying: Dying) -> None:
    culprit, cancelled = dying.run(Lane.PROCESS), dying.run(Lane.THREAD, cancelled=True)
    assert dying.die() == {culprit: "suspected"}
    assert dying.claims.methods == {cancelled: "worker_lost"}


def test_a_child_that_was_killed_for_a_reason_of_no_run_costs_its_runs_a_loss(dying: Dying) -> None:
    """It was stuck in a claim, for example because a run held the interpreter: without end, it must not go on."""
    key = dying.run(Lane.THREAD)
    dying.worker.children.kill(0)
    assert dying.die() == {key: "loss"}


def test_the_successor_is_neither_stopped_nor_blamed_for_what_the_dead_child_ran(dying: Dying) -> None:
    key = dying.run(Lane.THREAD, cancelled=True)
    dying.die()
    assert dying.worker.escalation.request_of(0, key) is None
