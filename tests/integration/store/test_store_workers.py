"""Workers and their lease."""

from __future__ import annotations

from functools import partial

import pytest

from jobcore.store import workers
from tests.integration.store.world import QUEUE, World, race


def beat(world: World, worker: object, *, draining: bool = False) -> bool:
    return world.call(workers.beat, worker, draining=draining)  # type: ignore[arg-type]


def test_a_registered_worker_is_seen_as_it_described_itself(world: World) -> None:
    worker = world.worker("a", "b", concurrency=5)
    [seen] = world.call(workers.live)
    assert (seen.id, seen.host, seen.pid, seen.queues, seen.concurrency) == (worker, "here", 1, ("a", "b"), 5)
    assert (seen.state, seen.beat) == ("active", 0)


def test_each_heartbeat_moves_the_counter(world: World) -> None:
    worker = world.worker()
    assert [beat(world, worker), beat(world, worker)] == [True, True]
    [seen] = world.call(workers.live)
    assert seen.beat == 2
    assert seen.heartbeat_at > seen.started_at


def test_a_draining_worker_stays_draining(world: World) -> None:
    worker = world.worker()
    assert beat(world, worker, draining=True)
    assert beat(world, worker)
    assert [seen.state for seen in world.call(workers.live)] == ["draining"]


def test_a_worker_that_was_declared_dead_is_told_at_its_next_heartbeat_and_stays_dead(world: World) -> None:
    worker = world.worker()
    assert world.call(workers.declare_dead, {worker: 0}) == [worker]
    assert not beat(world, worker)
    world.call(workers.leave, worker)
    assert world.call(workers.live) == []
    assert world.sql("SELECT state FROM workers") == [{"state": "dead"}]


def test_a_worker_is_declared_dead_only_with_the_beat_that_was_seen(world: World) -> None:
    quiet, lively = world.worker(), world.worker()
    beat(world, lively)
    assert world.call(workers.declare_dead, {quiet: 0, lively: 0}) == [quiet]
    assert world.call(workers.declare_dead, {quiet: 0}) == []


def test_a_heartbeat_and_a_declaration_of_death_never_both_count(world: World) -> None:
    for _ in range(100):
        worker = world.worker()
        declare = partial(world.call, workers.declare_dead, {worker: 0})
        renewed, declared = race(partial(beat, world, worker), declare)
        assert renewed is not bool(declared)


def test_a_worker_that_left_is_not_live_and_cannot_come_back(world: World) -> None:
    worker = world.worker()
    world.call(workers.leave, worker)
    assert world.call(workers.live) == []
    assert not beat(world, worker)


def test_what_workers_run_is_listed_by_worker_and_slot(world: World) -> None:
    one, other, third = sorted(world.worker() for _ in range(3))
    world.insert_many(4)
    claims = [world.take(worker, slot=slot)[0] for worker, slot in ((other, 1), (one, 1), (one, 0), (third, 0))]
    world.cancel(world.insert())
    listed = world.call(workers.running, [one, other])
    assert [(run.worker_id, run.slot, run.task_id) for run in listed] == [
        (one, 0, claims[2].id),
        (one, 1, claims[1].id),
        (other, 1, claims[0].id),
    ]
    assert [(run.fence, run.attempt, run.task_type) for run in listed] == [(1, 1, "echo")] * 3
    world.finish(claims[2])
    assert len(world.call(workers.running, [one])) == 1


@pytest.mark.parametrize(("state", "forgotten"), [("dead", 1), ("gone", 1), ("active", 0), ("draining", 0)])
def test_only_workers_that_ended_a_day_ago_are_forgotten(world: World, state: str, forgotten: int) -> None:
    world.worker(state=state)
    world.worker()
    assert world.call(workers.forget) == 0
    world.sql("UPDATE workers SET heartbeat_at = now() - interval '25 hours' RETURNING id")
    assert world.call(workers.forget) == forgotten


def test_an_idle_worker_takes_over_what_a_dead_one_ran(world: World) -> None:
    dead, idle = world.worker(), world.worker()
    claim = world.running(dead)
    world.call(workers.declare_dead, {dead: 0})
    assert world.take(dead) == []
    world.release(claim, "loss")
    [again] = world.take(idle)
    assert (again.id, again.fence, again.attempt, again.tries) == (claim.id, 2, 2, 1)
    assert world.finish(claim) == []
    assert [change.queue for change in world.finish(again)] == [QUEUE]
