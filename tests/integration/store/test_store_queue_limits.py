"""Limits and pauses of queues: they hold for the very next claim, and let no job overtake an earlier one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest

from jobcore.models import Claim
from jobcore.store import concurrency_limits, queue_demand, queues
from jobcore.store.cancellations import CompletedCancel, complete
from jobcore.store.limits import unblock
from tests.integration.store.world import QUEUE, World, race

ROUNDS = 20


def pause(world: World, paused: bool = True) -> None:
    world.call(queues.change, QUEUE, paused=paused, set_max=False, max_running=None)


def drain(world: World, worker: UUID, claims: int = 50) -> list[Claim]:
    """Claim until nothing comes."""
    taken: list[Claim] = []
    for _ in range(claims):
        if not (more := world.take(worker)):
            break
        taken += more
    return taken


def running(world: World) -> int:
    [row] = world.sql("SELECT count(*) AS jobs FROM jobs WHERE status = 'RUNNING'")
    return int(row["jobs"])


def test_a_limited_queue_runs_so_many_at_once_in_the_order_they_came(world: World) -> None:
    world.limit_queue(2)
    jobs = world.insert_many(5)
    worker = world.worker()
    taken = drain(world, worker)
    assert [claim.id for claim in taken] == jobs[:2]
    for number, claim in enumerate([*taken, *taken[:0]]):
        world.finish(claim)
        [after] = drain(world, worker)
        assert after.id == jobs[2 + number]


def test_a_batch_takes_no_more_than_there_are_places_for(world: World) -> None:
    world.limit_queue(3)
    world.insert_many(9)
    worker = world.worker()
    assert len(world.take(worker, limit=9, quick=["echo"])) == 3
    assert world.take(worker, limit=9, quick=["echo"]) == []


def test_a_limit_on_a_queue_in_which_much_is_ready_holds_for_the_next_claim(world: World) -> None:
    jobs = world.insert_many(500)
    worker = world.worker()
    before = drain(world, worker, 3)
    world.limit_queue(1)
    assert drain(world, worker) == []
    for claim in before:
        world.finish(claim)
    [after] = drain(world, worker)
    assert after.id == jobs[3], "the first that waits, and only it"
    world.limit_queue(3)
    assert [claim.id for claim in drain(world, worker)] == jobs[4:6]
    world.limit_queue(None)
    assert [claim.id for claim in drain(world, worker, 4)] == jobs[6:10]


def test_no_later_job_overtakes_an_earlier_one_under_changing_limits(world: World) -> None:
    jobs = world.insert_many(40)
    worker = world.worker()
    order: list[UUID] = []
    for most in (None, 3, 1, 0, 5, None, 2):
        world.limit_queue(most)
        for claim in drain(world, worker, 4):
            order.append(claim.id)
            world.finish(claim)
    assert order == jobs[: len(order)]


def test_a_limit_of_none_lets_nothing_start(world: World) -> None:
    world.limit_queue(0)
    world.insert()
    assert drain(world, world.worker()) == []


def test_a_cancelled_run_keeps_its_place_until_it_has_stopped(world: World) -> None:
    world.limit_queue(1)
    world.insert_many(2)
    worker = world.worker()
    [claim] = drain(world, worker)
    world.cancel(claim.id)
    assert drain(world, worker) == []
    world.call(complete, [CompletedCancel(claim.id, claim.fence, "cooperative")])
    assert len(drain(world, worker)) == 1


def test_claims_at_once_never_exceed_the_limit(world: World) -> None:
    world.limit_queue(3)
    world.insert_many(3 * ROUNDS)
    worker = world.worker(concurrency=9)
    for _ in range(ROUNDS):
        for _ in range(2):
            race(*[partial(world.take, worker, 2, quick=["echo"])] * 8)
        taken = drain(world, worker)
        assert running(world) == 3
        world.sql("UPDATE jobs SET status = 'SUCCESS', finished_at = now() WHERE status = 'RUNNING' RETURNING id")
        assert len(taken) <= 3


@pytest.mark.parametrize("kind", ["limit", "pause"])
def test_no_claim_comes_after_a_limit_or_a_pause_that_was_answered(world: World, kind: str) -> None:
    """The claims of the race may come before the change or after it, never after it by what was true before."""
    worker = world.worker(concurrency=9)
    for _ in range(ROUNDS):
        world.insert_many(12)

        def change() -> int:
            world.limit_queue(1) if kind == "limit" else pause(world)
            return running(world)

        *_, when_answered = race(*[partial(world.take, worker)] * 6, change)
        race(*[partial(world.take, worker)] * 4)
        assert running(world) <= max(when_answered, 1 if kind == "limit" else 0)
        world.sql("DELETE FROM jobs RETURNING id")
        world.limit_queue(None)
        pause(world, paused=False)


def test_a_job_of_a_limited_queue_and_a_key_needs_both_places(world: World) -> None:
    world.limit_queue(1)
    plain = world.insert()
    keyed = world.insert(concurrency_key="tenant-7")
    world.call(concurrency_limits.put, concurrency_limits.ConcurrencyLimit("tenant-7", 1))
    assert world.call(unblock, ["tenant-7"]).queues == {QUEUE: 1}
    worker = world.worker()
    [first] = drain(world, worker)
    assert first.id == plain
    world.finish(first)
    assert [claim.id for claim in drain(world, worker)] == [keyed]


def test_nothing_is_taken_from_a_paused_queue_and_it_asks_for_no_wake_up(world: World) -> None:
    job_id = world.insert()
    worker = world.worker()
    pause(world)
    assert not world.take(worker)
    assert world.call(queue_demand.read) == []
    pause(world, paused=False)
    assert [claim.id for claim in world.take(worker)] == [job_id]


def test_a_full_queue_asks_for_no_wake_up_and_one_with_places_for_so_many(world: World) -> None:
    world.limit_queue(3)
    world.insert_many(9)
    worker = world.worker(concurrency=8)
    assert [demand.ready for demand in world.call(queue_demand.read)] == [3]
    drain(world, worker)
    assert world.call(queue_demand.read) == []


def test_a_queue_tells_what_it_holds(world: World) -> None:
    world.limit_queue(2)
    world.insert_many(4)
    world.insert(delay_s=60)
    world.insert_many(2, concurrency_key="tenant-7")
    world.take(world.worker(concurrency=3))
    [queue] = world.call(queues.page)
    found = world.call(queues.find, QUEUE)
    assert found is not None
    assert replace(found, oldest_s=queue.oldest_s) == queue
    assert (queue.name, queue.paused, queue.max_running) == (QUEUE, False, 2)
    assert (queue.ready, queue.blocked, queue.waiting, queue.running) == (1, 4, 1, 1)
    assert (queue.workers, queue.children) == (1, 3)
    assert queue.oldest_s is not None
    assert world.call(queues.find, "unheard-of") is None


def test_queues_are_paged_by_name(world: World) -> None:
    for number in range(5):
        world.insert(queue=f"q{number}")
    first = world.call(queues.page, "", 3)
    assert [queue.name for queue in first] == ["q0", "q1", "q2"]
    assert [queue.name for queue in world.call(queues.page, "q2", 3)] == ["q3", "q4"]


def test_a_limit_holds_also_where_the_first_jobs_are_of_unknown_types(world: World) -> None:
    world.insert_many(50, task_type="unheard-of")
    ids = world.insert_many(9)
    world.limit_queue(4)
    worker = world.worker(concurrency=9)
    first = world.take(worker, 3, quick=["echo"])
    then = world.take(worker, 3, quick=["echo"])
    assert [[claim.id for claim in claims] for claims in (first, then)] == [ids[:3], ids[3:4]]
    assert world.take(worker, 3, quick=["echo"]) == []
    world.finish(first[0])
    assert [claim.id for claim in world.take(worker, 3, quick=["echo"])] == [ids[4]]


def test_claims_at_once_behind_unknown_types_never_exceed_the_limit(world: World) -> None:
    world.insert_many(50, task_type="unheard-of")
    ids = [world.insert(task_type=name) for _ in range(20) for name in ("echo", "sleep")]
    world.limit_queue(5)
    worker = world.worker(concurrency=9)
    taken = [
        claim.id for found in race(*[lambda: world.take(worker, 2, quick=["echo", "sleep"])] * 8) for claim in found
    ]
    assert sorted(taken) == ids[:5]


def test_a_type_at_the_head_that_is_unknown_keeps_the_order_of_those_behind_it(world: World) -> None:
    world.insert(task_type="unheard-of")
    ids = [world.insert(task_type=name) for name in ("sleep", "echo", "sleep", "echo", "echo")]
    worker = world.worker(concurrency=9)
    taken = []
    while found := world.take(worker, 4, quick=["echo", "sleep"]):
        taken += [claim.id for claim in found]
    assert taken == ids
