"""Receipts of cancelled runs: who must stop what, and how it stopped."""

from __future__ import annotations

import pytest

from jobcore.states import Status
from jobcore.store import cancellations, workers
from jobcore.store.cancellations import CompletedCancel, OpenCancel
from tests.integration.store.world import World


def receipt(world: World, job_id: object) -> tuple[bool, bool, object]:
    row = world.row(job_id)  # type: ignore[arg-type]
    return row["cancel_acknowledged_at"] is not None, row["cancel_stopped_at"] is not None, row["cancel_method"]


def test_a_worker_sees_its_own_cancelled_runs_until_they_stopped(world: World) -> None:
    worker, other = world.worker(), world.worker()
    mine, theirs, kept = world.running(worker), world.running(other), world.running(worker)
    for claim in (mine, theirs):
        world.cancel(claim.id)
    assert world.call(cancellations.open_cancels, worker) == [OpenCancel(mine.id, mine.fence, 0)]
    world.call(cancellations.complete, [CompletedCancel(mine.id, mine.fence, "signal")])
    assert world.call(cancellations.open_cancels, worker) == []
    assert receipt(world, mine.id) == (True, True, "signal")
    assert world.status(kept.id) is Status.RUNNING


def test_a_cancel_is_acknowledged_once_and_before_it_stopped(world: World) -> None:
    claim = world.running()
    world.cancel(claim.id)
    world.call(cancellations.acknowledge, [OpenCancel(claim.id, claim.fence, 0)])
    first = world.row(claim.id)["cancel_acknowledged_at"]
    assert receipt(world, claim.id) == (True, False, None)
    world.call(cancellations.acknowledge, [OpenCancel(claim.id, claim.fence, 0)])
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, "cooperative")])
    row = world.row(claim.id)
    assert row["cancel_acknowledged_at"] == first
    assert row["cancel_requested_at"] <= first <= row["cancel_stopped_at"]


def test_a_receipt_is_completed_once(world: World) -> None:
    claim = world.running()
    world.cancel(claim.id)
    completed = [
        world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, method)])
        for method in ("cooperative", "kill")
    ]
    assert completed == [[claim.id], []]
    assert receipt(world, claim.id) == (True, True, "cooperative")


def test_another_fence_completes_no_receipt(world: World) -> None:
    claim = world.running()
    world.cancel(claim.id)
    world.call(cancellations.acknowledge, [OpenCancel(claim.id, claim.fence + 1, 0)])
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence + 1, "kill")])
    assert receipt(world, claim.id) == (False, False, None)


@pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.SUCCESS])
def test_a_job_that_was_not_cancelled_gets_no_receipt(world: World, status: Status) -> None:
    claim = world.running()
    if status is Status.PENDING:
        world.release(claim, "handed_back")
    elif status is Status.SUCCESS:
        world.finish(claim)
    before = world.row(claim.id)
    world.call(cancellations.acknowledge, [OpenCancel(claim.id, claim.fence, 0)])
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, "kill")])
    assert world.call(cancellations.complete_orphaned) == []
    assert world.row(claim.id) == before


def test_receipts_of_a_dead_workers_runs_are_closed(world: World) -> None:
    dead, gone, unknown, alive = (world.worker() for _ in range(4))
    runs = [world.running(worker) for worker in (dead, gone, unknown, alive)]
    for claim in runs:
        world.cancel(claim.id)
    world.call(workers.declare_dead, {dead: 0})
    world.call(workers.leave, gone)
    world.sql("DELETE FROM workers WHERE id = :id RETURNING id", id=unknown)
    assert set(world.call(cancellations.complete_orphaned)) == {claim.id for claim in runs[:3]}
    closed, open_still = (True, True, "worker_lost"), (False, False, None)
    assert [receipt(world, claim.id) for claim in runs] == [closed, closed, closed, open_still]
    assert world.call(cancellations.complete_orphaned) == []
