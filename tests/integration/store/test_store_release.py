"""Claims that end without an outcome: handed back, crashed, lost, killed for their time."""

from __future__ import annotations

import pytest

from jobcore.models import Claim
from jobcore.states import TERMINAL, Status
from jobcore.store.releases import Cause, Release
from tests.integration.store.world import MAX_CRASHES, MAX_LOSSES, World

CAUSES: list[Cause] = ["handed_back", "crash", "loss", "timeout"]


def again(world: World, worker: object, claim: Claim) -> Claim:
    [next_claim] = world.take(worker)  # type: ignore[arg-type]
    assert next_claim.id == claim.id
    assert next_claim.fence > claim.fence
    return next_claim


def test_a_job_handed_back_gets_its_try_back_and_keeps_its_place(world: World) -> None:
    claim = world.running()
    rank = world.row(claim.id)["rank"]
    world.insert()
    [change] = world.release(claim, "handed_back")
    row = world.row(claim.id)
    assert (row["status"], row["ready"], row["attempt"], row["rank"]) == ("PENDING", True, 0, rank)
    assert (row["worker_id"], row["slot"], row["crashes"], row["losses"]) == (None, None, 0, 0)
    assert change.data == {"status": "PENDING", "reason": "handed_back"}
    assert again(world, world.worker(), claim).attempt == 1


def test_a_job_may_be_handed_back_any_number_of_times(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker, max_attempts=1)
    for _ in range(MAX_CRASHES + MAX_LOSSES):
        world.release(claim, "handed_back")
        claim = again(world, worker, claim)
    assert (claim.attempt, claim.tries) == (1, 1)


def test_a_suspected_job_is_handed_back_and_goes_only_to_a_child_that_takes_it_and_alone(world: World) -> None:
    claim = world.running()
    [change] = world.release(claim, "suspected")
    row = world.row(claim.id)
    assert (row["attempt"], row["crashes"], row["losses"], row["suspected"]) == (0, 0, 0, 1)
    assert change.data == {"status": "PENDING", "reason": "handed_back"}
    worker, other = world.worker(), world.insert()
    [passed_over] = world.take(worker, 2, quick=["echo"], suspected=0)
    assert passed_over.id == other
    world.insert()
    [alone] = world.take(worker, 2, quick=["echo"], suspected=1)
    assert (alone.id, alone.suspected) == (claim.id, 1)


@pytest.mark.parametrize(("cause", "limit"), [("crash", MAX_CRASHES), ("loss", MAX_LOSSES)])
def test_a_job_that_loses_its_process_too_often_is_quarantined(world: World, cause: Cause, limit: int) -> None:
    worker = world.worker()
    claim = world.running(worker, max_attempts=1)
    for number in range(1, limit):
        [change] = world.release(claim, cause)
        assert (change.status, change.ready) == (Status.PENDING, True)
        claim = again(world, worker, claim)
        assert (claim.attempt, claim.tries) == (number + 1, 1)
    [change] = world.release(claim, cause)
    assert change.status is Status.FAILED
    error = world.row(claim.id)["error"]
    assert error == change.data["error"]
    assert (error["kind"], error["attempt"]) == ("worker_lost", limit)
    assert str(limit) in error["message"]
    assert world.check_ending(claim.id) == [Status.FAILED]


def test_crashes_and_losses_do_not_add_up(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    crashes: list[Cause] = ["crash"] * (MAX_CRASHES - 1)
    losses: list[Cause] = ["loss"] * (MAX_LOSSES - 1)
    for cause in crashes + losses:
        [change] = world.release(claim, cause)
        assert change.status is Status.PENDING
        claim = again(world, worker, claim)


def test_a_run_killed_for_its_time_counts_against_max_attempts(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker, max_attempts=2, timeout_s=1.5)
    world.release(claim, "crash")
    claim = again(world, worker, claim)
    [change] = world.release(claim, "timeout")
    assert change.status is Status.PENDING
    claim = again(world, worker, claim)
    [change] = world.release(claim, "timeout")
    assert change.status is Status.FAILED
    assert change.data["error"]["kind"] == "timeout"
    assert "1.5 s" in change.data["error"]["message"]
    assert world.check_ending(claim.id) == [Status.FAILED]


@pytest.mark.parametrize("cause", ["crash", "loss", "timeout"])
def test_a_rescued_job_takes_its_place_at_the_back(world: World, cause: Cause) -> None:
    claim = world.running()
    other = world.insert()
    world.release(claim, cause)
    worker = world.worker()
    assert [taken.id for _ in range(2) for taken in world.take(worker)] == [other, claim.id]


@pytest.mark.parametrize("cause", CAUSES)
def test_a_release_with_an_old_fence_writes_nothing(world: World, cause: Cause) -> None:
    stale = world.running()
    world.release(stale, "handed_back")
    world.take(world.worker())
    before = world.row(stale.id)
    assert world.release(stale, cause) == []
    assert world.row(stale.id) == before


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_an_ended_job_cannot_be_released(world: World, status: Status, cause: Cause) -> None:
    job_id = world.ended(status)
    before = world.row(job_id)
    assert world.release_many([Release(job_id, before["fence"], cause)]) == []
    assert world.row(job_id) == before


def test_the_checkpoint_survives_a_release(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    world.edit(claim.id, "checkpoint = '{\"at\": 7}'")
    world.release(claim, "crash")
    assert again(world, worker, claim).checkpoint == {"at": 7}


def test_one_call_releases_jobs_for_different_reasons(world: World) -> None:
    worker = world.worker()
    runs = [world.running(worker) for _ in CAUSES]
    releases = [Release(run.id, run.fence, cause) for run, cause in zip(runs, CAUSES, strict=True)]
    reasons = {change.id: change.data["reason"] for change in world.release_many(releases)}
    assert reasons == {run.id: cause for run, cause in zip(runs, CAUSES, strict=True)}


def test_nothing_to_release_is_no_statement(world: World) -> None:
    assert world.release_many([]) == []
