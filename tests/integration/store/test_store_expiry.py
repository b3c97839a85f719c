"""Jobs that were not started in time expire, and no others."""

from __future__ import annotations

from functools import partial

import pytest

from jobcore.states import Status
from jobcore.store import expiry
from tests.integration.store.world import World, race


def test_what_was_not_started_in_time_expires_and_nothing_else(world: World) -> None:
    running = world.running(max_attempts=2)
    overdue, waiting, later, timeless = world.insert(), world.insert(delay_s=60), world.insert(), world.insert()
    for job_id in (running.id, overdue, waiting):
        world.edit(job_id, "expires_at = now() - interval '1 s'")
    world.edit(later, "expires_at = now() + interval '1 hour'")
    changes = world.call(expiry.expire)
    assert {change.id for change in changes} == {overdue, waiting}
    assert {change.status for change in changes} == {Status.FAILED}
    assert world.check_ending(overdue, waiting) == [Status.FAILED, Status.FAILED]
    assert world.row(overdue)["error"]["kind"] == "expired"
    assert [world.status(job_id) for job_id in (running.id, later, timeless)] == ["RUNNING", "PENDING", "PENDING"]
    assert world.call(expiry.expire) == []


@pytest.mark.parametrize("cause", ["handed_back", "crash"])
def test_a_job_that_started_in_time_does_not_expire_while_it_waits_again(world: World, cause: str) -> None:
    claim = world.running()
    world.edit(claim.id, "expires_at = now() - interval '1 s'")
    world.release(claim, cause)  # type: ignore[arg-type]
    assert world.call(expiry.expire) == []
    assert world.status(claim.id) is Status.PENDING


def test_a_claim_and_an_expiry_never_both_happen(world: World) -> None:
    worker = world.worker()
    for _ in range(40):
        job_id = world.insert()
        world.edit(job_id, "expires_at = now() + interval '2 ms'")
        taken, expired = race(partial(world.take, worker), lambda: world.call(expiry.expire))
        assert len(taken) + len(expired) <= 1
        if taken:
            assert world.call(expiry.expire) == []
        else:
            while world.status(job_id) is not Status.FAILED:
                world.call(expiry.expire)
            assert world.check_ending(job_id) == [Status.FAILED]
