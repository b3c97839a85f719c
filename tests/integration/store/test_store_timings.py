"""When a job became due, began and ended, whatever happened to it on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jobcore.models import Job
from jobcore.states import Status
from jobcore.store import jobs
from tests.integration.store.world import World

SECOND = timedelta(seconds=1)


def found(world: World, job_id: UUID) -> Job:
    job = world.call(jobs.get, job_id)
    assert job is not None
    return job


def event_at(world: World, job_id: UUID, status: str, number: int = 0) -> datetime:
    """When the event of this status was stored, the first or a later one."""
    return [event.at for event in world.events(job_id) if event.data.get("status") == status][number]


@pytest.mark.parametrize("fields", [{}, {"priority": 9}, {"fairness_key": "a"}, {"concurrency_key": "a"}])
def test_a_job_is_due_when_it_is_accepted(world: World, fields: dict[str, object]) -> None:
    world.insert_many(3, fairness_key="a")  # of the turns before it
    job_id = world.insert(**fields)
    job = found(world, job_id)
    assert job.due_at == job.created_at
    assert (job.first_started_at, job.run_started_at, job.run_ended_at) == (None, None, None)


def test_a_run_has_the_times_of_its_claim_and_its_outcome(world: World) -> None:
    claim = world.running(priority=5)
    job = found(world, claim.id)
    assert job.due_at == job.created_at
    assert job.first_started_at == job.run_started_at == claim.claimed_at
    assert job.run_ended_at is None
    world.finish(claim)
    job = found(world, claim.id)
    assert job.run_ended_at == job.finished_at == event_at(world, claim.id, "SUCCESS")


def test_a_delayed_job_is_due_at_its_time(world: World) -> None:
    job_id = world.insert(delay_s=60, priority=3)
    job = found(world, job_id)
    assert job.due_at == job.run_at == job.created_at + 60 * SECOND
    world.edit(job_id, "run_at = now() - interval '10 s'")
    world.promote()
    job = found(world, job_id)
    assert job.due_at == job.run_at
    world.take(world.worker())
    assert found(world, job_id).due_at == job.run_at


def test_the_next_try_is_due_after_its_backoff(world: World) -> None:
    claim = world.running(fairness_key="a")
    world.finish(claim, Status.PENDING, retry_s=30.0)
    job = found(world, claim.id)
    assert job.due_at == job.run_at == event_at(world, claim.id, "PENDING", 1) + 30 * SECOND
    assert job.first_started_at == claim.claimed_at
    assert job.run_started_at is None
    world.edit(claim.id, "run_at = now()")
    due = found(world, claim.id).due_at
    world.promote()
    [again] = world.take(world.worker())
    job = found(world, claim.id)
    assert (job.due_at, job.first_started_at, job.run_started_at) == (due, claim.claimed_at, again.claimed_at)


def test_a_rescued_job_is_due_when_it_is_back_in_its_queue(world: World) -> None:
    claim = world.running()
    world.release(claim, "loss")
    assert found(world, claim.id).due_at == event_at(world, claim.id, "PENDING", 1)
    world.take(world.worker())
    job = found(world, claim.id)
    assert job.due_at == event_at(world, claim.id, "PENDING", 1)
    assert job.first_started_at == claim.claimed_at


def test_a_job_that_is_cancelled_while_it_waits_has_no_run(world: World) -> None:
    claim = world.running()
    world.release(claim, "crash")
    world.cancel(claim.id)
    job = found(world, claim.id)
    assert (job.run_started_at, job.run_ended_at) == (None, None)
    assert job.first_started_at == claim.claimed_at


def test_a_cancelled_run_ends_when_it_has_stopped(world: World) -> None:
    claim = world.running()
    world.cancel(claim.id)
    job = found(world, claim.id)
    assert (job.run_started_at, job.run_ended_at) == (claim.claimed_at, None)
    world.edit(claim.id, "cancel_stopped_at = now() + interval '1 s', cancel_method = 'kill'")
    assert found(world, claim.id).run_ended_at == world.row(claim.id)["cancel_stopped_at"]
