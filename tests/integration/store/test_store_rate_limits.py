"""Rate limits: never more starts within any window than the limit, and no start withheld that the limit allows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobcore.models import Outcome
from jobcore.states import Status
from jobcore.store import concurrency_limits, limits, queues, rate_limits, start_permits, starts
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.outcomes import finish
from jobcore.store.rate_limits import RateLimit
from jobcore.store.releases import Cause, Release
from tests.integration.store.world import QUEUE, World, race

KEY = "api.example.com"
TYPES = ("echo",)


def unblock(world: World) -> int:
    return sum(world.call(start_permits.unblock, [KEY]).queues.values())


def put(world: World, max_starts: int, window_s: float = 60) -> None:
    world.call(rate_limits.put, RateLimit(KEY, max_starts, window_s))


def age(world: World, seconds: float) -> None:
    """Have all starts lie further back by so many seconds."""
    world.sql("UPDATE starts SET at = at - make_interval(secs => :s) RETURNING at", s=seconds)


def is_blocked(world: World, job_id: UUID) -> bool:
    row = world.row(job_id)
    return row["gate"] == "key" and row["rate_blocked"] and not row["ready"]


def most_within(times: Sequence[datetime], window_s: float) -> int:
    """The most starts within any window that is open at one end."""
    return max(sum(0 <= (other - first).total_seconds() < window_s for other in times) for first in times)


def starts_of(world: World) -> list[datetime]:
    rows = world.sql("SELECT at FROM job_events WHERE data ->> 'status' = 'RUNNING' ORDER BY at")
    return [row["at"] for row in rows]


def test_as_many_jobs_of_a_key_start_as_its_limit_allows_and_the_next_when_the_oldest_start_leaves(
    world: World,
) -> None:
    put(world, 2)
    ids = world.insert_many(4, rate_key=KEY)
    worker = world.worker()
    assert not world.take(worker, 10)
    assert unblock(world) == 2
    assert [claim.id for claim in world.take(worker, 10, quick=TYPES)] == ids[:2]
    assert unblock(world) == 0
    found = world.call(start_permits.unblock, [KEY])
    assert 59 < found.next_in_s[KEY] <= 60
    age(world, 61)
    assert unblock(world) == 2


def test_a_key_without_a_limit_blocks_nothing_for_long(world: World) -> None:
    world.insert_many(3, rate_key=KEY)
    assert unblock(world) == 3
    assert len(world.take(world.worker(), 10, quick=TYPES)) == 3


def test_a_job_without_a_rate_key_is_never_blocked_nor_counted(world: World) -> None:
    put(world, 1)
    world.insert(rate_key=KEY)
    free = world.insert()
    assert [claim.id for claim in world.take(world.worker(), 10)] == [free]
    assert not world.sql("SELECT FROM starts")


@pytest.mark.parametrize("end", [None, "handed_back", "crash", "loss", "timeout"])
def test_each_run_of_a_job_counts_and_needs_a_permit_of_its_own(world: World, end: Cause | None) -> None:
    put(world, 1)
    job_id = world.insert(rate_key=KEY)
    unblock(world)
    [claim] = world.take(world.worker())
    if end is None:
        world.finish(claim, Status.PENDING, retry_s=0)
    else:
        world.release(claim, end)
    assert is_blocked(world, job_id)
    assert unblock(world) == 0
    age(world, 61)
    assert unblock(world) == 1
    assert len(world.take(world.worker())) == 1
    assert len(world.sql("SELECT FROM starts")) == 2


def test_a_retry_that_waits_for_its_time_is_blocked_when_it_is_due(world: World) -> None:
    put(world, 1)
    job_id = world.insert(rate_key=KEY)
    unblock(world)
    [claim] = world.take(world.worker())
    world.finish(claim, Status.PENDING, retry_s=60)
    world.edit(job_id, "run_at = now() - interval '1 s'")
    world.promote()
    assert is_blocked(world, job_id)
    assert unblock(world) == 0


def test_a_scheduled_job_takes_no_permit_before_its_time(world: World) -> None:
    put(world, 1)
    later = world.insert(rate_key=KEY, delay_s=60)
    now = world.insert(rate_key=KEY)
    assert unblock(world) == 1
    assert world.row(now)["ready"]
    assert not is_blocked(world, later)


def test_a_manual_retry_needs_a_permit(world: World) -> None:
    put(world, 1)
    job_id = world.insert(rate_key=KEY)
    unblock(world)
    [claim] = world.take(world.worker())
    world.finish(claim, Status.FAILED)
    world.retry(job_id)
    assert is_blocked(world, job_id)
    assert unblock(world) == 0


def test_a_permit_of_a_job_that_never_starts_is_free_again(world: World) -> None:
    put(world, 1)
    first, second = world.insert_many(2, rate_key=KEY)
    unblock(world)
    world.cancel(first)
    assert unblock(world) == 1
    assert [claim.id for claim in world.take(world.worker())] == [second]


def test_a_lower_limit_blocks_ready_jobs_again(world: World) -> None:
    put(world, 5)
    ids = world.insert_many(5, rate_key=KEY)
    assert unblock(world) == 5
    put(world, 2)
    assert [is_blocked(world, job_id) for job_id in ids] == [False, False, True, True, True]
    assert unblock(world) == 0


def test_a_new_limit_counts_the_starts_of_the_last_minute(world: World) -> None:
    world.insert_many(3, rate_key=KEY)
    unblock(world)
    world.take(world.worker(), 3, quick=TYPES)
    put(world, 2)
    world.insert(rate_key=KEY)
    assert unblock(world) == 0


def test_without_its_limit_a_key_blocks_nothing(world: World) -> None:
    put(world, 1)
    world.insert_many(3, rate_key=KEY)
    unblock(world)
    assert world.call(rate_limits.delete, KEY)
    assert unblock(world) == 2
    assert not world.call(rate_limits.delete, KEY)


def test_jobs_of_a_paused_queue_take_no_permit_from_others(world: World) -> None:
    put(world, 1)
    world.insert(rate_key=KEY, queue="stopped")
    other = world.insert(rate_key=KEY)
    world.worker("stopped", QUEUE)
    world.call(queues.change, "stopped", paused=True, set_max=False, max_running=None)
    assert unblock(world) == 1
    assert world.row(other)["ready"]


def test_a_permit_goes_to_another_queue_once_its_own_is_paused(world: World) -> None:
    put(world, 1)
    first = world.insert(rate_key=KEY, queue="stopped")
    worker = world.worker("stopped", QUEUE)
    assert unblock(world) == 1
    second = world.insert(rate_key=KEY)
    world.call(queues.change, "stopped", paused=True, set_max=False, max_running=None)
    assert world.call(start_permits.reclaim, [KEY]) == 1
    assert is_blocked(world, first)
    assert unblock(world) == 1
    assert [claim.id for claim in world.take(worker)] == [second]


def test_a_queue_that_nobody_serves_gets_only_the_permits_that_others_leave(world: World) -> None:
    put(world, 1)
    unserved = world.insert(rate_key=KEY, queue="typo")
    assert unblock(world) == 1
    assert world.call(start_permits.reclaim, [KEY]) == 0
    world.insert(rate_key=KEY)
    world.worker()
    assert world.call(start_permits.reclaim, [KEY]) == 1
    assert is_blocked(world, unserved)
    assert unblock(world) == 1
    assert len(world.take(world.worker())) == 1


def test_a_job_with_both_keys_needs_both_permits(world: World) -> None:
    put(world, 1)
    world.call(concurrency_limits.put, ConcurrencyLimit("tenant", 2))
    ids = world.insert_many(3, rate_key=KEY, concurrency_key="tenant")
    assert unblock(world) == 0
    found = world.call(limits.unblock, ["tenant"])
    assert not found.queues
    assert found.rate_keys == {KEY}
    assert [is_blocked(world, job_id) for job_id in ids] == [True, True, False]
    assert unblock(world) == 1
    # the second has the permit of its concurrency key while its rate key blocks it
    assert world.call(limits.unblock, ["tenant"]).rate_keys == frozenset()
    world.call(concurrency_limits.put, ConcurrencyLimit("tenant", 1))
    assert [is_blocked(world, job_id) for job_id in ids] == [False, False, False]
    [claim] = world.take(world.worker())
    assert claim.id == ids[0]
    age(world, 61)
    assert unblock(world) == 0
    world.finish(claim)
    assert world.call(limits.unblock, ["tenant"]).rate_keys == {KEY}
    assert unblock(world) == 1


def test_a_queue_starts_as_many_jobs_as_its_rate_limit_allows_however_many_wait(world: World) -> None:
    world.insert_many(10)
    world.limit_rate(3, 60)
    worker = world.worker()
    assert len(world.take(worker, 2, quick=TYPES)) == 2
    assert len(world.take(worker, 10, quick=TYPES)) == 1
    assert not world.take(worker, 10, quick=TYPES)
    queue = world.call(queues.find, QUEUE)
    assert queue is not None
    assert (queue.ready, queue.blocked, queue.started) == (0, 7, 3)
    assert queue.next_start_at is not None
    age(world, 61)
    assert len(world.take(worker, 10, quick=TYPES)) == 3
    world.limit_rate(None)
    assert len(world.take(worker, 10, quick=TYPES)) == 4


def test_claims_of_many_workers_at_once_never_exceed_the_rate_of_a_queue(world: World) -> None:
    world.limit_rate(5, 60)
    worker = world.worker(concurrency=8)
    for _ in range(10):
        world.insert_many(20)
        taken = race(*[partial(world.take, worker, 4, quick=TYPES, slot=slot) for slot in range(8)])
        assert sum(map(len, taken)) == 5
        age(world, 61)


def test_a_rate_set_while_claims_are_under_way_holds_from_its_answer_on(world: World) -> None:
    worker = world.worker(concurrency=8)
    for number in range(10):
        world.limit_rate(None)
        world.insert_many(40)
        race(partial(world.limit_rate, 3, 60), *[partial(world.take, worker, 2, quick=TYPES) for _ in range(6)])
        before = len(world.sql("SELECT FROM jobs WHERE status = 'RUNNING'"))
        later = [len(world.take(worker, 10, quick=TYPES)) for _ in range(3)]
        assert sum(later) <= 3, number
        age(world, 61)
        assert before + sum(later) == len(world.sql("SELECT FROM jobs WHERE status = 'RUNNING'"))
        world.sql("UPDATE jobs SET status = 'SUCCESS', finished_at = now(), ready = false RETURNING id")


def test_unblocking_from_many_processes_at_once_never_gives_more_permits_than_there_are(world: World) -> None:
    put(world, 3, 60)
    worker = world.worker(concurrency=8)
    for _ in range(10):
        world.insert_many(10, rate_key=KEY)
        race(
            *[partial(unblock, world) for _ in range(4)],
            *[partial(world.take, worker, 4, quick=TYPES, slot=slot) for slot in range(4)],
            partial(put, world, 3, 60),
        )
        unblock(world)
        world.take(worker, 10, quick=TYPES)
        assert len(world.sql("SELECT FROM starts WHERE at > now() - interval '60 s'")) == 3
        age(world, 61)


@given(
    max_starts=st.integers(1, 4),
    by_queue=st.booleans(),
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "unblock", "retry", "wait", "insert", "loss"]), st.integers(1, 5)),
        min_size=5,
        max_size=12,
    ),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_window_ever_has_more_starts_than_the_limit_whatever_happens(
    world: World, max_starts: int, by_queue: bool, steps: list[tuple[str, int]]
) -> None:
    """The window is short, so that starts leave it while the steps go on."""
    world.sql("DELETE FROM starts RETURNING at")
    world.sql("DELETE FROM job_events RETURNING job_id")
    world.sql("DELETE FROM jobs RETURNING id")
    window_s = 1.0
    if by_queue:
        world.limit_rate(max_starts, window_s)
    else:
        world.limit_rate(None)
        put(world, max_starts, window_s)
    key = {} if by_queue else {"rate_key": KEY}
    worker = world.worker()
    world.insert_many(6, max_attempts=100, **key)
    for step, number in steps:
        if step == "take":
            world.take(worker, number, quick=TYPES)
        elif step == "unblock":
            unblock(world)
        elif step == "insert":
            world.insert_many(number, max_attempts=100, **key)
        elif step == "wait":
            time.sleep(number / 8)  # the clock of PostgreSQL is what is tested
        else:
            rows = world.sql("SELECT id, fence FROM jobs WHERE status = 'RUNNING' ORDER BY id LIMIT 1")
            world.sql("UPDATE jobs SET losses = 0 WHERE losses > 0 RETURNING id")
            _give_back(world, rows, step)
    times = starts_of(world)
    if times:
        assert most_within(times, window_s) <= max_starts
    # nothing is withheld: as many as the window has room for can start at once
    unblock(world)
    world.insert_many(max_starts, **key)
    recent = len(world.sql("SELECT FROM starts WHERE at > now() - interval '1 s'"))
    unblock(world)
    taken = len(world.take(worker, 50, quick=TYPES))
    assert recent + taken >= max_starts


def _give_back(world: World, runs: Sequence[Mapping[str, Any]], how: str) -> None:
    for run in runs:
        if how == "retry":
            again = Outcome(run["id"], run["fence"], Status.PENDING, error={"kind": "raised"}, retry_s=0)
            world.call(finish, [again])
        else:
            world.release_many([Release(run["id"], run["fence"], "loss")])


def test_starts_are_deleted_once_they_count_no_more(world: World) -> None:
    put(world, 5, 3600)
    world.insert_many(2, rate_key=KEY)
    world.insert(rate_key="other")
    world.call(start_permits.unblock, [KEY, "other"])
    world.take(world.worker(), 3, quick=TYPES)
    age(world, 61)
    assert world.call(starts.forget, 100) == 1
    age(world, 3600)
    assert world.call(starts.forget, 1) == 1
    assert world.call(starts.forget, 100) == 1
    assert world.call(starts.forget, 100) == 0


def test_limits_are_listed_in_order_with_their_use(world: World) -> None:
    for number in range(5):
        world.call(rate_limits.put, RateLimit(f"key-{number}", 1, 60))
    world.insert(rate_key="key-1")
    world.call(start_permits.unblock, ["key-1"])
    found = world.call(rate_limits.page, "key-0", 2)
    assert [(use.key, use.taken, use.next_start_at is None) for use in found] == [
        ("key-1", 1, False),
        ("key-2", 0, True),
    ]
    assert world.call(rate_limits.find, "nobody") is None


def test_of_two_who_change_the_same_version_one_wins(world: World) -> None:
    put(world, 1)
    was = RateLimit(KEY, 1, 60)
    changes = [partial(world.call, rate_limits.put_if, was, RateLimit(KEY, number, 60)) for number in (2, 3)]
    assert sorted(race(*changes)) == [False, True]


def test_an_unused_limit_is_forgotten(world: World) -> None:
    put(world, 1)
    job_id = world.insert(rate_key=KEY)
    world.sql("UPDATE rate_limits SET used_at = now() - interval '2 days' RETURNING key")
    assert world.call(rate_limits.forget, 86_400) == 0
    world.cancel(job_id)
    assert world.call(rate_limits.forget, 86_400) == 1


def test_waiting_keys_are_listed_with_the_time_of_their_next_permit(world: World) -> None:
    put(world, 1)
    world.insert_many(2, rate_key=KEY)
    world.insert(rate_key="free")
    assert world.call(start_permits.waiting) == {KEY: 0, "free": 0}
    unblock(world)
    world.take(world.worker())
    waiting = world.call(start_permits.waiting)
    assert 59 < waiting[KEY] <= 60
    assert list(world.call(start_permits.waiting, KEY)) == ["free"]
