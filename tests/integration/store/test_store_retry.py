"""A manual retry: another life of an ended job, with its history kept and its tries counted anew."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from jobcore.models import Claim
from jobcore.states import Status
from jobcore.store import cancellations, expiry, jobs, limits
from jobcore.store.cancellations import CompletedCancel
from tests.integration.appending import append_events
from tests.integration.store.world import HIDDEN, MAX_CRASHES, World, race

RECEIPT = ("cancel_requested_at", "cancel_acknowledged_at", "cancel_stopped_at", "cancel_method")
LAST = UUID(int=2**128 - 1)
ROUNDS = 60


def failed(world: World, **fields: Any) -> Claim:
    claim = world.running(**fields)
    world.finish(claim, Status.FAILED)
    return claim


def reclaimed(world: World, job_id: UUID) -> Claim:
    [claim] = world.take(world.worker())
    assert claim.id == job_id
    return claim


def test_a_failed_job_waits_again_and_its_events_continue(world: World) -> None:
    claim = failed(world)
    change = world.retry(claim.id)
    assert change is not None
    assert (change.status, change.ready, change.attempt, change.seq) == (Status.PENDING, True, 1, 4)
    row = world.row(claim.id)
    assert (row["status"], row["ready"], row["finished_at"], row["worker_id"]) == ("PENDING", True, None, None)
    assert row["error"]["message"] == "no", "why the latest attempt failed is still told"
    world.finish(reclaimed(world, claim.id))
    assert [(event.attempt, event.data["status"]) for event in world.events(claim.id)] == [
        (0, "PENDING"),
        (1, "RUNNING"),
        (1, "FAILED"),
        (1, "PENDING"),
        (2, "RUNNING"),
        (2, "SUCCESS"),
    ]
    assert world.events(claim.id)[3].data == {"status": "PENDING", "reason": "manual"}
    world.check_events(claim.id)


def test_tries_crashes_and_losses_start_anew_while_fence_and_attempt_go_on(world: World) -> None:
    claim = world.running(max_attempts=2)
    for cause in ("crash", "loss", "crash"):
        world.release(claim, cause)
        claim = reclaimed(world, claim.id)
    world.finish(claim, Status.FAILED)
    world.retry(claim.id)
    row = world.row(claim.id)
    assert (row["crashes"], row["losses"], row["earlier_attempts"], row["attempt"], row["fence"]) == (0, 0, 4, 4, 4)
    again = reclaimed(world, claim.id)
    assert (again.tries, again.attempt, again.fence) == (1, 5, 5)
    for _ in range(MAX_CRASHES - 1):
        world.release(again, "crash")
        again = reclaimed(world, claim.id)
    assert again.tries == 1
    world.release(again, "timeout")
    assert world.status(claim.id) is Status.PENDING, "the first of two tries is no end"
    last = reclaimed(world, claim.id)
    assert last.tries == 2
    world.release(last, "timeout")
    job = world.call(jobs.get, claim.id)
    assert job is not None
    assert (job.status, job.tries, job.attempt) == (Status.FAILED, 2, 8)


def test_the_receipt_of_a_cancel_that_is_undone_is_kept_in_its_event(world: World) -> None:
    claim = world.running()
    world.cancel(claim.id)
    assert world.retry(claim.id) is None, "its run has not stopped"
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, "signal")])
    assert world.retry(claim.id)
    assert [world.row(claim.id)[name] for name in RECEIPT] == [None] * 4
    receipt = world.events(claim.id)[-1].data["cancelled"]
    assert receipt["method"] == "signal"
    assert receipt["requested_at"] < receipt["stopped_at"]
    again = reclaimed(world, claim.id)
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, "kill")])
    world.cancel(claim.id)
    world.call(cancellations.complete, [CompletedCancel(claim.id, claim.fence, "kill")])
    assert world.row(claim.id)["cancel_stopped_at"] is None, "the first life's run cannot stop the second's"
    world.call(cancellations.complete, [CompletedCancel(claim.id, again.fence, "cooperative")])
    assert world.row(claim.id)["cancel_method"] == "cooperative"


@pytest.mark.parametrize(("expires_s", "kept"), [(-60, False), (60, True)])
def test_a_job_that_expired_may_start_after_all_and_an_expiry_to_come_still_counts(
    world: World, expires_s: int, kept: bool
) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=expires_s)
    job_id = world.insert(expires_at=expires_at)
    world.call(expiry.expire) if not kept else world.cancel(job_id)
    assert world.retry(job_id)
    assert (world.row(job_id)["expires_at"] is not None) is kept
    assert world.call(expiry.expire) == []
    assert reclaimed(world, job_id).tries == 1


def test_what_the_first_life_stored_is_kept_but_its_run_can_write_no_more(world: World) -> None:
    claim = world.running()
    world.call(append_events, claim.id, claim.fence, [], checkpoint='{"page": 7}')
    world.finish(claim, Status.FAILED)
    world.retry(claim.id)
    assert world.finish(claim) == []
    assert world.release(claim, "crash") == []
    again = reclaimed(world, claim.id)
    assert again.checkpoint == {"page": 7}
    assert world.call(append_events, claim.id, claim.fence, []) is None
    assert world.finish(claim) == []


def test_an_urgent_retry_does_not_lie_below_the_low_water_mark(world: World) -> None:
    claim = failed(world, priority=9)
    world.sql("UPDATE queues SET low_rank = now() RETURNING name")
    world.retry(claim.id)
    assert world.sql(HIDDEN) == []
    assert reclaimed(world, claim.id)


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.PENDING, Status.RUNNING])
def test_nothing_else_is_retried(world: World, status: Status) -> None:
    job_id = world.insert() if status is Status.PENDING else world.running().id
    if status is Status.SUCCESS:
        world.sql("UPDATE jobs SET status = 'SUCCESS', finished_at = now() RETURNING id")
    before = world.row(job_id)
    assert world.retry(job_id) is None
    assert world.row(job_id) == before


def test_of_retries_at_once_one_is_told_that_it_retried(world: World) -> None:
    for _ in range(ROUNDS):
        job_id = failed(world).id
        assert sum(change is not None for change in race(*[partial(world.retry, job_id)] * 3)) == 1
        world.check_events(job_id)
        world.cancel(job_id)


def test_a_retry_against_a_cancel_leaves_one_of_two_true_stories(world: World) -> None:
    ends: Counter[str] = Counter()
    for _ in range(ROUNDS):
        job_id = failed(world).id
        retried, cancelled = race(partial(world.retry, job_id), partial(world.cancel, job_id))
        assert retried
        assert world.status(job_id) is (Status.CANCELLED if cancelled else Status.PENDING)
        statuses = [event.data["status"] for event in world.events(job_id)]
        assert statuses == ["PENDING", "RUNNING", "FAILED", "PENDING"] + ["CANCELLED"] * bool(cancelled)
        ends[statuses[-1]] += 1
        world.cancel(job_id)
    assert len(ends) == 2, "the race was never close"


def test_a_retry_against_retention_keeps_the_whole_job_or_nothing(world: World) -> None:
    for _ in range(ROUNDS):
        job_id = failed(world).id
        world.edit(job_id, "finished_at = now() - interval '1 day'")
        retried, gone = race(partial(world.retry, job_id), lambda: world.retire(LAST, 3600.0))
        assert bool(retried) is not bool(gone)
        assert len(world.events(job_id)) == (4 if retried else 0)
        world.cancel(job_id)


def test_a_retry_waits_at_the_gate_of_its_key_as_a_new_job_would(world: World) -> None:
    claim = failed(world)
    world.edit(claim.id, "concurrency_key = 'tenant-7'")
    change = world.retry(claim.id)
    assert change is not None
    assert (change.ready, world.row(claim.id)["gate"]) == (False, "key")
    assert world.take(world.worker()) == []
    world.call(limits.unblock, ["tenant-7"])
    reclaimed(world, claim.id)


def test_a_retry_of_a_queue_that_was_forgotten_makes_it_anew(world: World) -> None:
    claim = failed(world)
    world.sql("DELETE FROM queues RETURNING name")
    world.retry(claim.id)
    reclaimed(world, claim.id)
