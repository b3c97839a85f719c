"""Steps: a stored result is there once and for all, written by a run that has its claim, and gone with its job."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from jobcore.models import Claim
from jobcore.states import Status
from jobcore.store import steps
from jobcore.store.steps import Step
from tests.integration.store.world import LOST, World, race

LAST = UUID(int=2**128 - 1)


def keep(world: World, claim: Claim, result: str, name: str = "pay") -> Step | None:
    return world.call(steps.keep, claim.id, claim.fence, name, result)


def test_the_first_result_stays_whoever_stores_another(world: World) -> None:
    claim = world.running()
    assert world.call(steps.find, claim.id, "pay") is None
    assert keep(world, claim, '{"id": 1}') == Step({"id": 1})
    assert keep(world, claim, '{"id": 2}') == Step({"id": 1}), "a reply that was lost is asked for again"
    assert keep(world, claim, "null", "other") == Step(None) == world.call(steps.find, claim.id, "other")
    world.release(claim, "crash")
    [again] = world.take(world.worker())
    assert world.call(steps.find, claim.id, "pay") == Step({"id": 1})
    assert keep(world, again, '{"id": 3}') == Step({"id": 1})
    assert world.sql("SELECT name, attempt FROM job_steps ORDER BY name") == [
        {"name": "other", "attempt": 1},
        {"name": "pay", "attempt": 1},
    ]


@pytest.mark.parametrize("end", LOST)
def test_a_run_that_lost_its_claim_stores_nothing(world: World, end: str) -> None:
    claim = world.running()
    world.lose(claim, end)
    assert keep(world, claim, "1") is None
    assert world.sql("SELECT name FROM job_steps") == []


def test_a_step_against_a_rescue_is_stored_if_and_only_if_its_run_is_told_so(world: World) -> None:
    for _ in range(40):
        claim = world.running()
        kept, _ = race(partial(keep, world, claim, "1"), partial(world.release, claim, "loss"))
        assert (world.call(steps.find, claim.id, "pay") is not None) is (kept is not None)
        world.cancel(claim.id)


def test_steps_survive_a_manual_retry_and_go_with_their_job(world: World) -> None:
    claim = world.running()
    keep(world, claim, "1")
    world.finish(claim, Status.FAILED)
    world.retry(claim.id)
    assert world.call(steps.find, claim.id, "pay") == Step(1)
    other = world.insert()
    world.cancel(claim.id)
    world.edit(claim.id, "finished_at = now() - interval '2 hours'")
    assert world.retire(LAST, 3600.0) == 1
    assert world.sql("SELECT name FROM job_steps") == []
    assert world.status(other) is Status.PENDING
