"""Queues: promotion, demand, and the low-water mark that never hides a ready job."""

from __future__ import annotations

from functools import partial

import pytest

from jobcore.store import queues, workers
from jobcore.store.claims import Release
from jobcore.store.queues import Demand
from tests.integration.store.world import HIDDEN, QUEUE, World, race


def test_the_mark_rises_to_the_oldest_ready_job_and_no_further(world: World) -> None:
    old, _young = world.insert_many(2)
    world.edit(old, "rank = now() - interval '1 hour'")
    world.call(queues.refresh_low_ranks)
    assert world.low_rank() == world.row(old)["rank"]
    world.take(world.worker())
    world.call(queues.refresh_low_ranks)
    [row] = world.sql("SELECT now() - low_rank AS age FROM queues")
    assert row["age"].total_seconds() == pytest.approx(30, abs=5)


def test_a_job_handed_back_from_below_the_mark_is_claimed_next(world: World) -> None:
    old = world.insert()
    world.edit(old, "rank = now() - interval '1 hour'")
    worker = world.worker()
    [claim] = world.take(worker)
    world.insert()
    world.call(queues.refresh_low_ranks)
    assert world.low_rank() > world.row(old)["rank"]
    world.release(claim, "handed_back")
    assert [taken.id for taken in world.take(worker)] == [old]


@pytest.mark.parametrize("cause", ["crash", "loss", "timeout"])
def test_an_urgent_job_that_is_rescued_is_not_hidden(world: World, cause: str) -> None:
    claim = world.running(priority=9)
    world.call(queues.refresh_low_ranks)
    world.release(claim, cause)  # type: ignore[arg-type]
    assert [taken.id for taken in world.take(world.worker())] == [claim.id]


def test_an_urgent_job_is_claimed_at_once_although_the_mark_had_risen(world: World) -> None:
    world.insert()
    world.take(world.worker())
    world.call(queues.refresh_low_ranks)
    urgent = world.insert(priority=9)
    assert [taken.id for taken in world.take(world.worker())] == [urgent]


def test_an_urgent_job_that_became_due_is_not_hidden(world: World) -> None:
    urgent = world.insert(priority=9, delay_s=60)
    world.call(queues.refresh_low_ranks)
    world.edit(urgent, "run_at = now()")
    world.call(queues.promote)
    assert [taken.id for taken in world.take(world.worker())] == [urgent]


def test_a_refresh_finds_a_job_that_lies_below_the_mark_all_the_same(world: World) -> None:
    job_id = world.insert()
    world.sql("UPDATE queues SET low_rank = now() + interval '1 hour' RETURNING name")
    assert world.take(world.worker()) == []
    world.call(queues.refresh_low_ranks)
    assert [taken.id for taken in world.take(world.worker())] == [job_id]


def test_a_refresh_under_urgent_inserts_hides_no_job_of_a_known_queue(world: World) -> None:
    world.insert()
    refresh = partial(world.call, queues.refresh_low_ranks)
    for _ in range(100):
        race(refresh, partial(world.insert_many, 2, priority=9), refresh)
        assert world.sql(HIDDEN) == []


def test_a_refresh_under_the_first_inserts_of_a_queue_hides_a_job_until_the_next_at_most(world: World) -> None:
    refresh = partial(world.call, queues.refresh_low_ranks)
    for number in range(60):
        insert = partial(world.insert, queue=f"new-{number}", priority=9)
        race(refresh, insert, insert)
        world.call(queues.refresh_low_ranks)
        assert world.sql(HIDDEN) == []


def test_a_refresh_under_hand_backs_hides_no_job(world: World) -> None:
    worker = world.worker()
    world.insert_many(4)
    world.sql("UPDATE jobs SET rank = rank - interval '1 hour' RETURNING id")
    for _ in range(60):
        runs = world.take(worker, 4, quick=["echo"])
        assert len(runs) == 4
        releases = [Release(run.id, run.fence, "handed_back") for run in runs]
        race(partial(world.call, queues.refresh_low_ranks), partial(world.release_many, releases))
        assert world.sql(HIDDEN) == []


def test_promote_makes_ready_only_what_is_due(world: World) -> None:
    due = [world.insert(delay_s=60), world.insert(delay_s=60, queue="other", priority=2)]
    later = world.insert(delay_s=60)
    for job_id in due:
        world.edit(job_id, "run_at = now() - interval '1 s'")
    assert world.call(queues.promote) == {QUEUE: 1, "other": 1}
    assert [world.row(job_id)["ready"] for job_id in (*due, later)] == [True, True, False]
    assert world.call(queues.promote) == {}


def test_a_promoted_job_takes_its_place_behind_what_was_ready_before(world: World) -> None:
    late = world.insert(delay_s=60)
    early = world.insert()
    world.edit(late, "run_at = now() - interval '1 s'")
    world.call(queues.promote)
    worker = world.worker()
    assert [claim.id for _ in range(2) for claim in world.take(worker)] == [early, late]


def test_promote_takes_the_longest_overdue_first_when_there_are_more_than_its_limit(world: World) -> None:
    waiting = world.insert_many(5, delay_s=60)
    for age, job_id in enumerate(waiting, 1):
        world.edit(job_id, "run_at = now() - make_interval(secs => :age)", age=age)
    assert world.call(queues.promote, 2) == {QUEUE: 2}
    assert [world.row(job_id)["ready"] for job_id in waiting] == [False, False, False, True, True]


def test_concurrent_promotes_make_each_job_ready_once(world: World) -> None:
    waiting = world.insert_many(50, delay_s=60)
    world.sql("UPDATE jobs SET run_at = now() RETURNING id")
    counts = race(*[partial(world.call, queues.promote)] * 4)
    assert sum(count.get(QUEUE, 0) for count in counts) == len(waiting)


def test_demand_counts_what_is_ready_and_who_is_idle(world: World) -> None:
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
    [demand] = world.call(queues.demand)
    assert (demand.queue, demand.ready, demand.idle) == (QUEUE, 3, 2 + 4)
    assert demand.oldest_s == pytest.approx(90, abs=5)


def test_demand_counts_up_to_its_limit(world: World) -> None:
    world.insert_many(20)
    assert [demand.ready for demand in world.call(queues.demand, 7)] == [7]


def test_an_urgent_job_does_not_look_as_if_it_had_waited_long(world: World) -> None:
    world.insert(priority=9)
    [demand] = world.call(queues.demand)
    assert demand.oldest_s == pytest.approx(0, abs=5)


def test_a_queue_without_ready_jobs_or_without_workers_demands_so(world: World) -> None:
    world.insert(queue="empty", delay_s=60)
    world.insert(queue="orphaned")
    worker = world.worker("orphaned")
    world.call(workers.leave, worker)
    demands = world.call(queues.demand)
    assert [(demand.queue, demand.ready, demand.idle) for demand in demands] == [("orphaned", 1, 0)]
    assert isinstance(demands[0], Demand)
