"""Queues: promotion, demand, and the low-water rank that never hides a ready job."""

from __future__ import annotations

import math
from functools import partial

import pytest

from jobcore.store import queue_demand, queue_heads, queues, workers
from jobcore.store.queue_demand import Demand
from jobcore.store.releases import Release
from tests.integration.store.world import HIDDEN, QUEUE, World, race


def test_the_mark_rises_to_the_oldest_ready_job_and_no_further(world: World) -> None:
    old, _young = world.insert_many(2)
    world.edit(old, "rank = now() - interval '1 hour'")
    world.refresh_low_ranks()
    assert world.low_rank() == world.row(old)["rank"]
    world.take(world.worker())
    world.refresh_low_ranks()
    [row] = world.sql("SELECT now() - low_rank AS age FROM queues")
    assert row["age"].total_seconds() == pytest.approx(30, abs=5)


def test_a_job_handed_back_from_below_the_mark_is_claimed_next(world: World) -> None:
    old = world.insert()
    world.edit(old, "rank = now() - interval '1 hour'")
    worker = world.worker()
    [claim] = world.take(worker)
    world.insert()
    world.refresh_low_ranks()
    assert world.low_rank() > world.row(old)["rank"]
    world.release(claim, "handed_back")
    assert [taken.id for taken in world.take(worker)] == [old]


@pytest.mark.parametrize("cause", ["crash", "loss", "timeout"])
def test_an_urgent_job_that_is_rescued_is_not_hidden(world: World, cause: str) -> None:
    claim = world.running(priority=9)
    world.refresh_low_ranks()
    world.release(claim, cause)  # type: ignore[arg-type]
    assert [taken.id for taken in world.take(world.worker())] == [claim.id]


def test_an_urgent_job_is_claimed_at_once_although_the_mark_had_risen(world: World) -> None:
    world.insert()
    world.take(world.worker())
    world.refresh_low_ranks()
    urgent = world.insert(priority=9)
    assert [taken.id for taken in world.take(world.worker())] == [urgent]


def test_an_urgent_job_that_became_due_is_not_hidden(world: World) -> None:
    urgent = world.insert(priority=9, delay_s=60)
    world.refresh_low_ranks()
    world.edit(urgent, "run_at = now()")
    world.promote()
    assert [taken.id for taken in world.take(world.worker())] == [urgent]


def test_a_refresh_finds_a_job_that_lies_below_the_mark_all_the_same(world: World) -> None:
    job_id = world.insert()
    world.sql("UPDATE queues SET low_rank = now() + interval '1 hour' RETURNING name")
    assert world.take(world.worker()) == []
    world.refresh_low_ranks()
    assert [taken.id for taken in world.take(world.worker())] == [job_id]


def test_a_refresh_under_urgent_inserts_hides_no_job_of_a_known_queue(world: World) -> None:
    world.insert()
    refresh = world.refresh_low_ranks
    for _ in range(100):
        race(refresh, partial(world.insert_many, 2, priority=9), refresh)
        assert world.sql(HIDDEN) == []


def test_a_refresh_under_the_first_inserts_of_a_queue_hides_a_job_until_the_next_at_most(world: World) -> None:
    refresh = world.refresh_low_ranks
    for number in range(60):
        insert = partial(world.insert, queue=f"new-{number}", priority=9)
        race(refresh, insert, insert)
        world.refresh_low_ranks()
        assert world.sql(HIDDEN) == []


def test_a_refresh_under_hand_backs_hides_no_job(world: World) -> None:
    worker = world.worker()
    world.insert_many(4)
    world.sql("UPDATE jobs SET rank = rank - interval '1 hour' RETURNING id")
    for _ in range(60):
        runs = world.take(worker, 4, quick=["echo"])
        assert len(runs) == 4
        releases = [Release(run.id, run.fence, "handed_back") for run in runs]
        race(world.refresh_low_ranks, partial(world.release_many, releases))
        assert world.sql(HIDDEN) == []


def test_promote_makes_ready_only_what_is_due(world: World) -> None:
    due = [world.insert(delay_s=60), world.insert(delay_s=60, queue="other", priority=2)]
    later = world.insert(delay_s=60)
    for job_id in due:
        world.edit(job_id, "run_at = now() - interval '1 s'")
    assert world.promote() == {QUEUE: 1, "other": 1}
    assert [world.row(job_id)["ready"] for job_id in (*due, later)] == [True, True, False]
    assert world.promote() == {}


def test_a_promoted_job_takes_its_place_where_it_became_due(world: World) -> None:
    last = world.insert(delay_s=60)
    early = world.insert()
    first = world.insert(delay_s=60)
    world.edit(last, "run_at = now()")
    world.edit(first, "run_at = now() - interval '1 hour'")
    world.refresh_low_ranks()
    world.promote()
    worker = world.worker()
    assert [claim.id for _ in range(3) for claim in world.take(worker)] == [first, early, last]


def test_promote_takes_a_share_of_every_queue_and_of_each_the_first_by_rank(world: World) -> None:
    world.insert_many(50, delay_s=60)
    urgent = world.insert(delay_s=60, priority=9)
    other = world.insert(queue="other", delay_s=60)
    world.sql("UPDATE jobs SET run_at = now() RETURNING id")
    assert world.promote(4) == {QUEUE: 2, "other": 1}
    assert world.row(urgent)["ready"]
    assert world.row(other)["ready"]


def test_expired_jobs_at_the_head_of_a_queue_lie_below_the_mark_and_count_nowhere(world: World) -> None:
    worker = world.worker()
    for job_id in world.insert_many(3):
        world.edit(job_id, "expires_at = now(), rank = now() - interval '2 hours'")
    waiting = world.insert()
    world.edit(waiting, "rank = now() - interval '1 hour'")
    world.refresh_low_ranks()
    assert world.low_rank() == world.row(waiting)["rank"]
    assert [demand.ready for demand in world.call(queue_demand.read)] == [1]
    assert [claim.id for claim in world.take(worker)] == [waiting]


def test_a_queue_that_nobody_uses_is_forgotten_after_an_hour(world: World) -> None:
    for name in ("paused", "limited", "served", "ready", "delayed", "blocked", "running", "idle"):
        limit = 7 if name == "limited" else None
        world.call(queues.change, name, paused=name == "paused", set_max=True, max_running=limit)
    world.worker("served")
    world.insert(queue="ready")
    world.insert(queue="delayed", delay_s=60)
    world.insert(queue="blocked", concurrency_key="key")
    world.running(world.worker("elsewhere"), queue="running")
    names = world.call(queues.names)
    assert world.call(queues.forget, names) == 0
    assert [row["name"] for row in world.sql("SELECT name FROM queues WHERE idle_since IS NOT NULL")] == ["idle"]
    world.sql("UPDATE queues SET idle_since = now() - interval '2 hours' RETURNING name")
    assert world.call(queues.forget, names) == 1
    assert set(world.call(queues.names)) == set(names) - {"idle"}
    world.sql("UPDATE queues SET idle_since = now() - interval '2 hours' RETURNING name")
    assert world.call(queues.forget, names) == 0
    assert not world.sql("SELECT name FROM queues WHERE idle_since IS NOT NULL")


def test_no_accepted_job_loses_its_queue_to_the_forgetting(world: World) -> None:
    """The intake sees the queue and adds no row, while the keeper sees no job and deletes it."""
    worker = world.worker("elsewhere")
    forgotten = 0
    for number in range(100):
        name = f"brief-{number}"
        world.call(queues.change, name, paused=None, set_max=False, max_running=None)
        world.sql("UPDATE queues SET idle_since = now() - interval '2 hours' RETURNING name")
        job_id, gone = race(partial(world.insert, queue=name), partial(world.call, queues.forget, [name]))
        forgotten += gone
        assert [claim.id for claim in world.take(worker, queue=name)] == [job_id]
    assert 0 < forgotten < 100, "the race was never close"


def test_promote_takes_the_longest_overdue_first_when_there_are_more_than_its_limit(world: World) -> None:
    waiting = world.insert_many(5, delay_s=60)
    for age, job_id in enumerate(waiting, 1):
        world.edit(job_id, "run_at = now() - make_interval(secs => :age)", age=age)
    assert world.promote(2) == {QUEUE: 2}
    assert [world.row(job_id)["ready"] for job_id in waiting] == [False, False, False, True, True]


def test_concurrent_promotes_make_each_job_ready_once(world: World) -> None:
    waiting = world.insert_many(50, delay_s=60)
    world.sql("UPDATE jobs SET run_at = now() RETURNING id")
    counts = race(*[world.promote] * 4)
    assert sum(count.get(QUEUE, 0) for count in counts) == len(waiting)


def test_demand_counts_what_is_ready_and_the_children_that_are_free(world: World) -> None:
    busy = world.worker(QUEUE, "other", concurrency=3)
    world.worker(concurrency=4)
    world.worker("elsewhere", concurrency=9)
    for state in ("draining", "dead", "gone"):
        world.worker(concurrency=9, state=state)
    world.insert_many(5)
    assert len(world.take(busy, 2, quick=["echo"], slot=1)) == 2
    world.insert(delay_s=60)
    [oldest, *_] = world.sql("SELECT id FROM jobs WHERE status = 'PENDING' AND ready ORDER BY id")
    world.edit(oldest["id"], "rank = now() - interval '90 s'")
    [demand] = world.call(queue_demand.read)
    assert (demand.queue, demand.ready, demand.free) == (QUEUE, 3, 2 + 4)
    assert demand.oldest_s == pytest.approx(90, abs=5)


def test_demand_counts_up_to_its_limit(world: World) -> None:
    world.worker()
    world.insert_many(20)
    assert [demand.ready for demand in world.call(queue_demand.read, 7)] == [7]


def test_an_urgent_job_does_not_look_as_if_it_had_waited_long(world: World) -> None:
    world.worker()
    world.insert(priority=9)
    [demand] = world.call(queue_demand.read)
    assert demand.oldest_s == pytest.approx(0, abs=5)


def test_a_queue_without_ready_jobs_or_without_workers_demands_nothing(world: World) -> None:
    world.insert(queue="empty", delay_s=60)
    world.insert(queue="orphaned")
    worker = world.worker("orphaned")
    world.call(workers.leave, worker)
    demands = world.call(queue_demand.read)
    assert demands == []
    busy = world.worker("orphaned", concurrency=1)
    world.take(busy, queue="orphaned")
    world.insert(queue="orphaned")
    [demand] = world.call(queue_demand.read)
    assert (demand.queue, demand.ready, demand.free) == ("orphaned", 1, 0)
    assert isinstance(demand, Demand)


def test_jobs_of_types_that_no_worker_of_the_queue_knows_ask_for_no_wake_up(world: World) -> None:
    world.worker(types=["echo", "sleep"])
    world.worker("elsewhere", types=["unheard-of"])
    world.insert_many(20, task_type="unheard-of")
    assert world.call(queue_demand.read) == []
    world.insert_many(2, task_type="echo")
    world.insert_many(1, task_type="sleep")
    assert [demand.ready for demand in world.call(queue_demand.read)] == [3]


def test_a_worker_that_says_no_types_may_take_any(world: World) -> None:
    world.worker(types=["echo"])
    world.worker(types=None)
    world.insert_many(2, task_type="unheard-of")
    world.insert(task_type="echo")
    assert [demand.ready for demand in world.call(queue_demand.read)] == [3]


def test_the_age_of_a_head_is_that_of_the_job_that_has_been_ready_for_the_longest(world: World) -> None:
    assert world.call(queue_heads.ages, [QUEUE]) == {}
    old, _young = world.insert_many(2)
    world.insert(delay_s=60)
    world.edit(old, "rank = now() - interval '1 hour'")
    assert world.call(queue_heads.ages, [QUEUE, "unknown"]) == {QUEUE: pytest.approx(3600, abs=5)}
    assert world.call(queue_heads.ages, []) == {}
    world.call(queues.change, QUEUE, paused=True, set_max=False, max_running=None)
    assert world.call(queue_heads.ages, [QUEUE]) == {QUEUE: math.inf}
