"""Limits of keys: never more jobs with a permit than permits, no blocked job forgotten, no blocked job claimed."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from jobcore.states import Status
from jobcore.store import concurrency_limits, limits
from jobcore.store.cancellations import CompletedCancel, complete
from jobcore.store.concurrency_limits import ConcurrencyLimit
from tests.integration.store.world import World, race

KEY = "tenant-7"
ROUNDS = 20


def blocked_by(world: World, job_id: UUID) -> tuple[str | None, bool]:
    row = world.row(job_id)
    return row["gate"], row["ready"]


def unblock(world: World) -> int:
    return sum(world.call(limits.unblock, [KEY]).queues.values())


def test_jobs_of_one_key_run_one_at_a_time_in_the_order_they_came(world: World) -> None:
    jobs = world.insert_many(3, concurrency_key=KEY)
    worker = world.worker()
    for job_id in jobs:
        assert not world.take(worker, limit=10)
        assert unblock(world) == 1
        [claim] = world.take(worker, limit=10)
        assert claim.id == job_id
        assert unblock(world) == 0
        world.finish(claim)
    assert unblock(world) == 0


def test_other_keys_and_jobs_without_a_key_are_not_blocked(world: World) -> None:
    world.insert(concurrency_key=KEY)
    free = world.insert()
    assert [claim.id for claim in world.take(world.worker())] == [free]


def test_a_limit_unblocks_as_many_jobs_as_it_has_permits(world: World) -> None:
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, 3))
    world.insert_many(5, concurrency_key=KEY)
    assert unblock(world) == 3
    world.call(concurrency_limits.delete, KEY)
    assert unblock(world) == 0


def test_an_unblocked_job_keeps_its_rank(world: World) -> None:
    old = world.insert(concurrency_key=KEY)
    world.edit(old, "rank = now() - interval '1 hour'")
    world.insert()
    world.refresh_low_ranks()
    assert unblock(world) == 1
    assert [claim.id for claim in world.take(world.worker())] == [old]


def test_a_cancelled_run_keeps_its_permit_until_it_has_stopped(world: World) -> None:
    world.insert_many(2, concurrency_key=KEY)
    unblock(world)
    [claim] = world.take(world.worker())
    world.cancel(claim.id)
    assert unblock(world) == 0
    world.call(complete, [CompletedCancel(claim.id, claim.fence, "cooperative")])
    assert unblock(world) == 1


def test_a_job_that_waits_for_its_retry_frees_its_permit(world: World) -> None:
    first, second = world.insert_many(2, concurrency_key=KEY, max_attempts=2)
    unblock(world)
    [claim] = world.take(world.worker())
    world.finish(claim, Status.PENDING, retry_s=60, error={"kind": "raised"})
    assert unblock(world) == 1
    world.edit(first, "run_at = now()")
    world.promote()
    assert blocked_by(world, first) == ("key", False)
    assert blocked_by(world, second) == (None, True)


def test_a_job_that_is_handed_back_keeps_its_permit(world: World) -> None:
    world.insert_many(2, concurrency_key=KEY)
    unblock(world)
    [claim] = world.take(world.worker())
    world.release(claim, "handed_back")
    assert unblock(world) == 0
    assert blocked_by(world, claim.id) == (None, True)


def test_a_delayed_job_is_blocked_when_it_is_due_and_is_promoted_once(world: World) -> None:
    job_id = world.insert(concurrency_key=KEY, delay_s=60)
    assert blocked_by(world, job_id) == (None, False)
    world.edit(job_id, "run_at = now()")
    assert world.promote() == {}
    assert blocked_by(world, job_id) == ("key", False)
    rank = world.row(job_id)["rank"]
    world.promote()
    assert world.row(job_id)["rank"] == rank


def test_blocked_keys_with_free_permits_are_found_page_by_page(world: World) -> None:
    for number in range(6):
        world.insert_many(3, concurrency_key=f"key-{number}")
    world.call(concurrency_limits.put, ConcurrencyLimit("key-1", 0))
    world.call(limits.unblock, ["key-4"])
    first = world.call(limits.blocked_keys, "", 3)
    assert (first.keys, first.last) == (["key-0", "key-2"], "key-2")
    rest = world.call(limits.blocked_keys, "key-2", 10)
    assert (rest.keys, rest.last) == (["key-3", "key-5"], None)


def test_many_that_unblock_at_once_never_exceed_the_limit(world: World) -> None:
    """Counting alone would: the counts of two statements do not see each other's rows."""
    permits = 3
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, permits))
    world.insert_many(permits * ROUNDS, concurrency_key=KEY)
    worker = world.worker(concurrency=permits)
    for _ in range(ROUNDS):
        unblocked = race(*[lambda: unblock(world)] * 6)
        assert sum(unblocked) == permits
        claims = [claim for _ in range(permits) for claim in world.take(worker)]
        assert len(claims) == permits
        race(*[lambda claim=claim: world.finish(claim) for claim in claims])
    assert unblock(world) == 0


@pytest.mark.parametrize("change", ["lower", "clear"])
def test_a_lower_limit_of_a_key_holds_at_once_for_jobs_that_have_not_begun(world: World, change: str) -> None:
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, 5))
    jobs = world.insert_many(8, concurrency_key=KEY)
    assert unblock(world) == 5
    worker = world.worker()
    [running] = world.take(worker)
    permits = 2 if change == "lower" else 1
    if change == "lower":
        world.call(concurrency_limits.put, ConcurrencyLimit(KEY, permits))
    else:
        world.call(concurrency_limits.delete, KEY)
    later = [claim.id for _ in range(5) for claim in world.take(worker)]
    assert [running.id, *later] == jobs[:permits]
    assert unblock(world) == 0


def test_a_lower_limit_of_a_key_against_claims_never_leaves_more_than_it_says(world: World) -> None:
    worker = world.worker()
    lower = partial(world.call, concurrency_limits.put, ConcurrencyLimit(KEY, 1))
    for _ in range(ROUNDS):
        world.call(concurrency_limits.put, ConcurrencyLimit(KEY, 4))
        world.insert_many(6, concurrency_key=KEY)
        assert unblock(world) == 4
        one, _, other = race(partial(world.take, worker), lower, partial(world.take, worker))
        begun = [*one, *other]
        more = world.take(worker, limit=9, quick=["echo"])
        assert len(begun) + len(more) == max(1, len(begun))
        world.sql("DELETE FROM jobs RETURNING id")
