"""The runs of a job, read from its events."""

from __future__ import annotations

from itertools import pairwise

import pytest

from jobcore.models import Claim, NewEvent, Run
from jobcore.states import Status
from jobcore.store import runs, workers
from jobcore.store.releases import Cause
from tests.integration.store.world import World


def runs_of(world: World, claim: Claim, after: int = 0, limit: int = 50) -> list[Run]:
    return world.call(runs.page, claim.id, after, limit)


def outcomes(world: World, claim: Claim) -> list[tuple[int, str]]:
    return [(run.attempt, run.outcome) for run in runs_of(world, claim)]


def again(world: World) -> Claim:
    [claim] = world.take(world.worker())
    return claim


def test_every_way_in_which_a_run_can_end_is_told_apart(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    causes: list[Cause] = ["handed_back", "crash", "loss", "timeout"]
    for cause in causes:
        world.release(claim, cause)
        claim = again(world)
    world.finish(claim, Status.PENDING, retry_s=0)
    claim = again(world)
    world.finish(claim, Status.PENDING, retry_s=0, error={"kind": "timeout", "type": "TimeoutError", "message": "long"})
    claim = again(world)
    world.finish(claim, Status.FAILED)
    world.retry(claim.id)
    claim = again(world)
    world.cancel(claim.id)
    world.sql("UPDATE jobs SET cancel_stopped_at = now() RETURNING id")
    world.retry(claim.id)
    claim = again(world)
    assert runs_of(world, claim)[-1].ended_at is None
    assert runs_of(world, claim)[-1].outcome == "running"
    world.finish(claim)
    assert outcomes(world, claim) == [
        (1, "handed_back"),
        (1, "crashed"),
        (2, "lost"),
        (3, "timeout"),
        (4, "retried"),
        (5, "timeout"),
        (6, "failed"),
        (7, "cancelled"),
        (8, "success"),
    ]
    told = runs_of(world, claim)
    assert all(run.ended_at and run.started_at <= run.ended_at for run in told)
    assert all(before.ended_at <= after.started_at for before, after in pairwise(told))  # type: ignore[operator]
    assert (told[0].worker_id, told[0].host) == (worker, "here")
    assert len({run.worker_id for run in told}) == len(told)
    assert [run.error["message"] for run in told if run.error] == ["no", "long", "no"]


@pytest.mark.parametrize(("cause", "outcome"), [("crash", "crashed"), ("loss", "lost"), ("timeout", "timeout")])
def test_the_last_run_of_a_quarantined_job_says_how_it_was_lost_and_why_the_job_failed(
    world: World, cause: Cause, outcome: str
) -> None:
    claim = world.running(max_attempts=1)
    world.edit(claim.id, "crashes = 2, losses = 4, attempt = 99")
    world.release(claim, cause)
    [run] = runs_of(world, claim)
    assert run.outcome == outcome
    assert run.error is not None
    assert run.error["kind"] == ("timeout" if cause == "timeout" else "worker_lost")


def test_a_traceback_belongs_to_the_run_that_logged_it(world: World) -> None:
    claim = world.running()
    for number in range(3):
        said = [NewEvent("log", {"level": "error", "message": f"Traceback {number}", "traceback": True})] * (
            number != 1
        )
        world.finish(claim, Status.PENDING, retry_s=0, events=(NewEvent("log", {"message": "no"}), *said))
        claim = again(world)
    assert [run.traceback for run in runs_of(world, claim)] == ["Traceback 0", None, "Traceback 2", None]


def test_pages_follow_on_each_other_without_a_gap(world: World) -> None:
    claim = world.running(max_attempts=100)
    for _ in range(9):
        world.release(claim, "handed_back")
        claim = again(world)
    whole = runs_of(world, claim)
    paged: list[Run] = []
    while page := runs_of(world, claim, paged[-1].seq if paged else 0, 4):
        assert len(page) <= 4
        paged += page
    assert paged == whole
    assert len(whole) == 10


def test_a_worker_that_is_forgotten_leaves_its_id(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    world.call(workers.leave, worker)
    world.worker()
    world.sql("UPDATE workers SET heartbeat_at = now() - interval '2 days' RETURNING id")
    world.call(workers.forget)
    [run] = runs_of(world, claim)
    assert (run.worker_id, run.host) == (worker, None)


def test_a_job_that_never_ran_has_no_attempts(world: World) -> None:
    job_id = world.insert()
    world.cancel(job_id)
    assert world.call(runs.page, job_id, 0, 9) == []
