"""The keeper's statements: lost runs found, the overdue expired, the old retired."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from jobcore.states import TERMINAL, Status
from jobcore.store import cancellations, upkeep, workers
from jobcore.store.cancellations import CompletedCancel
from tests.integration.store.world import World, race

LAST = UUID(int=2**128 - 1)


@pytest.mark.parametrize("state", ["dead", "gone"])
def test_a_run_whose_worker_ended_is_lost(world: World, state: str) -> None:
    healthy, ended = world.worker(), world.worker()
    world.running(healthy)
    lost = world.running(ended)
    assert world.lost() == []
    world.sql("UPDATE workers SET state = :state WHERE id = :id RETURNING id", state=state, id=ended)
    assert world.lost() == [lost.id]
    [release] = world.call(upkeep.lost)
    assert (release.fence, release.cause) == (lost.fence, "loss")
    world.release_many([release])
    assert world.lost() == []


def test_a_run_whose_worker_is_unknown_is_lost(world: World) -> None:
    claim = world.running()
    world.sql("DELETE FROM workers RETURNING id")
    assert world.lost() == [claim.id]


def test_a_run_of_a_draining_worker_is_not_lost(world: World) -> None:
    worker = world.worker()
    world.running(worker)
    world.call(workers.beat, worker, draining=True)
    assert world.lost() == []


def test_what_was_not_started_in_time_expires_and_nothing_else(world: World) -> None:
    running = world.running(max_attempts=2)
    overdue, waiting, later, timeless = world.insert(), world.insert(delay_s=60), world.insert(), world.insert()
    for job_id in (running.id, overdue, waiting):
        world.edit(job_id, "expires_at = now() - interval '1 s'")
    world.edit(later, "expires_at = now() + interval '1 hour'")
    changes = world.call(upkeep.expire)
    assert {change.id for change in changes} == {overdue, waiting}
    assert {change.status for change in changes} == {Status.FAILED}
    assert world.check_ending(overdue, waiting) == [Status.FAILED, Status.FAILED]
    assert world.row(overdue)["error"]["kind"] == "expired"
    assert [world.status(job_id) for job_id in (running.id, later, timeless)] == ["RUNNING", "PENDING", "PENDING"]
    assert world.call(upkeep.expire) == []


@pytest.mark.parametrize("cause", ["handed_back", "crash"])
def test_a_job_that_started_in_time_does_not_expire_while_it_waits_again(world: World, cause: str) -> None:
    claim = world.running()
    world.edit(claim.id, "expires_at = now() - interval '1 s'")
    world.release(claim, cause)  # type: ignore[arg-type]
    assert world.call(upkeep.expire) == []
    assert world.status(claim.id) is Status.PENDING


def test_a_claim_and_an_expiry_never_both_happen(world: World) -> None:
    worker = world.worker()
    for _ in range(40):
        job_id = world.insert()
        world.edit(job_id, "expires_at = now() + interval '2 ms'")
        taken, expired = race(partial(world.take, worker), lambda: world.call(upkeep.expire))
        assert len(taken) + len(expired) <= 1
        if taken:
            assert world.call(upkeep.expire) == []
        else:
            while world.status(job_id) is not Status.FAILED:
                world.call(upkeep.expire)
            assert world.check_ending(job_id) == [Status.FAILED]


def test_old_ended_jobs_are_deleted_with_their_events_and_young_ones_kept(world: World) -> None:
    old = [world.ended(status) for status in sorted(TERMINAL)]
    cancelled = old[sorted(TERMINAL).index(Status.CANCELLED)]
    young = world.ended(Status.SUCCESS)
    waiting = world.insert()
    for job_id in old:
        world.edit(job_id, "finished_at = now() - interval '2 hours'")
    assert world.retire(LAST, 3600.0) == 2, "a cancelled run that has not stopped is kept"
    world.call(cancellations.complete, [CompletedCancel(cancelled, world.row(cancelled)["fence"], "signal")])
    assert world.retire(LAST, 3600.0) == 1
    left = {row["job_id"] for row in world.sql("SELECT DISTINCT job_id FROM job_events")}
    assert left == {row["id"] for row in world.sql("SELECT id FROM jobs")} == {young, waiting}


def test_retirement_stops_at_the_id_given_and_at_its_limit(world: World) -> None:
    ended = [world.ended(Status.SUCCESS) for _ in range(4)]
    for job_id in ended:
        world.edit(job_id, "finished_at = now() - interval '2 hours'")
    assert world.retire(ended[3], 3600.0, 2) == 2
    assert world.retire(ended[3], 3600.0, 2) == 1
    assert world.retire(ended[3], 3600.0, 2) == 0
    assert world.status(ended[3]) is Status.SUCCESS
