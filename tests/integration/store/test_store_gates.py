"""Gates: never more jobs past one than it has places, none forgotten behind it, and claims that never see it."""

from __future__ import annotations

from uuid import UUID

import pytest

from jobcore.states import Status
from jobcore.store import gates, key_limits, queues
from jobcore.store.key_limits import KeyLimit
from jobcore.store.stops import Stopped, stopped
from tests.integration.store.world import QUEUE, World, race

KEY = "tenant-7"
ROUNDS = 20


def gate(world: World, job_id: UUID) -> tuple[str | None, bool]:
    row = world.row(job_id)
    return row["gate"], row["ready"]


def limit_queue(world: World, max_running: int | None) -> None:
    world.call(queues.change, QUEUE, paused=None, set_max=True, max_running=max_running)


def pass_all(world: World) -> int:
    passed = world.call(gates.pass_keys, [KEY])
    return sum(passed.values()) + sum(world.call(gates.pass_queues, [QUEUE]).values())


def test_jobs_of_one_key_run_one_at_a_time_in_the_order_they_came(world: World) -> None:
    jobs = world.insert_many(3, concurrency_key=KEY)
    worker = world.worker()
    for job_id in jobs:
        assert not world.take(worker, limit=10)
        assert pass_all(world) == 1
        [claim] = world.take(worker, limit=10)
        assert claim.id == job_id
        assert pass_all(world) == 0
        world.finish(claim)
    assert pass_all(world) == 0


def test_other_keys_and_jobs_without_one_are_not_held_back(world: World) -> None:
    world.insert(concurrency_key=KEY)
    free = world.insert()
    assert [claim.id for claim in world.take(world.worker())] == [free]


def test_a_limit_that_was_set_lets_so_many_pass(world: World) -> None:
    world.call(key_limits.put, KeyLimit(KEY, 3))
    world.insert_many(5, concurrency_key=KEY)
    assert pass_all(world) == 3
    world.call(key_limits.delete, KEY)
    assert pass_all(world) == 0


def test_a_job_that_passed_keeps_its_place_in_the_queue(world: World) -> None:
    old = world.insert(concurrency_key=KEY)
    world.edit(old, "rank = now() - interval '1 hour'")
    world.insert()
    world.call(queues.refresh_low_ranks)
    assert pass_all(world) == 1
    assert [claim.id for claim in world.take(world.worker())] == [old]


def test_a_cancelled_run_keeps_its_place_until_it_has_stopped(world: World) -> None:
    world.insert_many(2, concurrency_key=KEY)
    pass_all(world)
    [claim] = world.take(world.worker())
    world.cancel(claim.id)
    assert pass_all(world) == 0
    world.call(stopped, [Stopped(claim.id, claim.fence, "cooperative")])
    assert pass_all(world) == 1


def test_a_job_that_waits_for_its_retry_gives_its_place_away(world: World) -> None:
    first, second = world.insert_many(2, concurrency_key=KEY, max_attempts=2)
    pass_all(world)
    [claim] = world.take(world.worker())
    world.finish(claim, Status.PENDING, retry_s=60, error={"kind": "raised"})
    assert pass_all(world) == 1
    world.edit(first, "run_at = now()")
    world.call(queues.promote)
    assert gate(world, first) == ("key", False)
    assert gate(world, second) == (None, True)


def test_a_job_that_is_handed_back_keeps_its_place(world: World) -> None:
    world.insert_many(2, concurrency_key=KEY)
    pass_all(world)
    [claim] = world.take(world.worker())
    world.release(claim, "handed_back")
    assert pass_all(world) == 0
    assert gate(world, claim.id) == (None, True)


def test_a_limited_queue_runs_so_many_at_once(world: World) -> None:
    limit_queue(world, 2)
    world.insert_many(5)
    worker = world.worker()
    assert pass_all(world) == 2
    claims = world.take(worker, limit=10)
    assert len(claims) == 1
    claims += world.take(worker, limit=10)
    assert pass_all(world) == 0
    world.finish(claims[0])
    assert pass_all(world) == 1


def test_a_limit_that_comes_late_holds_back_what_is_ready_and_one_that_goes_lets_it_pass(world: World) -> None:
    jobs = world.insert_many(5)
    limit_queue(world, 2)
    assert world.call(gates.hold_back, [QUEUE]) == 3
    assert [gate(world, job_id) for job_id in jobs] == [(None, True)] * 2 + [("queue", False)] * 3
    assert world.call(gates.hold_back, [QUEUE]) == 0
    limit_queue(world, None)
    assert world.call(gates.limited) == [QUEUE]
    assert pass_all(world) == 3
    assert world.call(gates.limited) == []


def test_a_job_of_a_limited_queue_and_a_key_passes_both_gates_in_turn(world: World) -> None:
    limit_queue(world, 1)
    plain = world.insert()
    keyed = world.insert(concurrency_key=KEY)
    assert gate(world, plain) == ("queue", False)
    assert world.call(gates.pass_keys, [KEY]) == {QUEUE: 0}
    assert gate(world, keyed) == ("queue", False)
    assert world.call(gates.pass_queues, [QUEUE]) == {QUEUE: 1}
    assert gate(world, plain) == (None, True)


def test_a_delayed_job_comes_to_its_gate_when_it_is_due_and_is_not_looked_at_again(world: World) -> None:
    job_id = world.insert(concurrency_key=KEY, delay_s=60)
    assert gate(world, job_id) == (None, False)
    world.edit(job_id, "run_at = now()")
    assert world.call(queues.promote) == {}
    assert gate(world, job_id) == ("key", False)
    rank = world.row(job_id)["rank"]
    world.call(queues.promote)
    assert world.row(job_id)["rank"] == rank


def test_keys_that_wait_are_found_page_by_page(world: World) -> None:
    for number in range(5):
        world.insert_many(3, concurrency_key=f"key-{number}")
    first = world.call(gates.waiting_keys, "", 2)
    assert first == ["key-0", "key-1"]
    assert world.call(gates.waiting_keys, first[-1], 10) == ["key-2", "key-3", "key-4"]


@pytest.mark.parametrize("kind", ["key", "queue"])
def test_many_that_let_pass_at_once_never_exceed_the_limit(world: World, kind: str) -> None:
    """Counting alone would: the counts of two statements do not see each other's rows."""
    places = 3
    if kind == "key":
        world.call(key_limits.put, KeyLimit(KEY, places))
    else:
        limit_queue(world, places)
    world.insert_many(places * ROUNDS, concurrency_key=KEY if kind == "key" else None)
    worker = world.worker(concurrency=places)
    for _ in range(ROUNDS):
        passed = race(*[lambda: pass_all(world)] * 6)
        assert sum(passed) == places
        claims = [claim for _ in range(places) for claim in world.take(worker)]
        assert len(claims) == places
        race(*[lambda claim=claim: world.finish(claim) for claim in claims])
    assert pass_all(world) == 0


def test_nothing_is_taken_from_a_paused_queue_and_it_asks_for_no_wake_up(world: World) -> None:
    job_id = world.insert()
    worker = world.worker()
    world.call(queues.change, QUEUE, paused=True, set_max=False, max_running=None)
    assert not world.take(worker)
    assert world.call(queues.demand) == []
    world.call(queues.change, QUEUE, paused=False, set_max=False, max_running=None)
    assert [claim.id for claim in world.take(worker)] == [job_id]


def test_a_queue_tells_what_it_holds(world: World) -> None:
    limit_queue(world, 2)
    world.insert_many(4)
    world.insert(delay_s=60)
    pass_all(world)
    world.take(world.worker(concurrency=3))
    [queue] = world.call(queues.page)
    assert (queue.name, queue.paused, queue.max_running) == (QUEUE, False, 2)
    assert (queue.ready, queue.held, queue.waiting, queue.running) == (1, 2, 1, 1)
    assert (queue.workers, queue.children) == (1, 3)
    assert queue.oldest_s is not None
    assert world.call(queues.page, "unheard-of") == []
