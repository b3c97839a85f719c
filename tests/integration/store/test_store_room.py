"""What workers run and how much room they have, by lane, as `GET /workers`, the gauges and the keeper count it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest

from jobcore.models import by_lane
from jobcore.states import Lane
from jobcore.store import gauges, queue_demand, queues, workers
from tests.integration.store.world import QUEUE, World

TYPES = ("crunch", "ask", "fetch")
MIXED = tuple(Lane)


def mixed(world: World, lanes: Sequence[str] = MIXED) -> UUID:
    """A worker of two children with up to four async and thread jobs each."""
    return world.worker(types=TYPES, lanes=lanes, jobs_per_child=4)


def run(world: World, worker: UUID, count: int, task_type: str, slot: int) -> None:
    """Have a child of this worker run so many jobs of a type."""
    world.insert_many(count, task_type=task_type)
    assert len(world.take(worker, count, types=[task_type], quick=[task_type], slot=slot)) == count


def become(world: World, worker: UUID, state: str) -> None:
    """Change a worker's state."""
    world.sql("UPDATE workers SET state = :state WHERE id = :id RETURNING id", state=state, id=worker)


def seen(world: World, worker: UUID) -> tuple[Mapping[Lane, int], Mapping[Lane, int]]:
    """What it runs, and its room."""
    [found] = [each for each in world.call(workers.live) if each.id == worker]
    return found.runs, found.room


def test_a_child_has_room_for_as_many_waiting_jobs_as_it_may_run_or_for_one_that_needs_it_whole(world: World) -> None:
    assert seen(world, mixed(world)) == (by_lane((0, 0, 0)), by_lane((2, 8, 8)))


def test_async_and_thread_jobs_share_their_room(world: World) -> None:
    worker = mixed(world)
    run(world, worker, 2, "ask", slot=0)
    run(world, worker, 1, "fetch", slot=0)
    assert seen(world, worker) == (by_lane((0, 2, 1)), by_lane((2, 5, 5)))


def test_a_child_that_is_full_or_runs_a_process_job_has_no_room(world: World) -> None:
    worker = mixed(world)
    run(world, worker, 1, "ask", slot=0)
    run(world, worker, 1, "crunch", slot=0)
    assert seen(world, worker) == (by_lane((1, 1, 0)), by_lane((1, 4, 4)))
    run(world, worker, 4, "fetch", slot=1)
    assert seen(world, worker) == (by_lane((1, 1, 4)), by_lane((0, 0, 0)))


def test_a_worker_has_no_room_for_a_lane_of_which_it_knows_no_task_type(world: World) -> None:
    assert seen(world, mixed(world, ("async",) * 3))[1] == by_lane((0, 8, 0))
    assert seen(world, world.worker(types=TYPES))[1] == by_lane((2, 0, 0))
    assert seen(world, world.worker(types=None))[1] == by_lane((2, 0, 0)), "a worker of version 0.1"


def test_a_draining_worker_has_no_room(world: World) -> None:
    worker = mixed(world)
    run(world, worker, 1, "ask", slot=0)
    become(world, worker, "draining")
    assert seen(world, worker) == (by_lane((0, 1, 0)), by_lane((0, 0, 0)))


def test_a_queue_has_the_room_of_its_active_workers(world: World) -> None:
    for state in ("active", "active", "draining", "dead"):
        worker = mixed(world)
        run(world, worker, 1, "ask", slot=0)
        become(world, worker, state)
    queue = world.call(queues.find, QUEUE)
    assert queue is not None
    assert (queue.running, queue.workers, queue.children) == (4, 2, 4)
    assert queue.room == by_lane((4, 14, 14))
    [active, _] = sorted(world.call(gauges.fleets), key=lambda fleet: fleet.state)
    assert (active.runs, active.room, active.free) == (by_lane((0, 2, 0)), by_lane((4, 14, 14)), 4)


def test_the_keeper_wakes_a_child_with_room_although_it_runs_jobs(world: World) -> None:
    worker = mixed(world)
    run(world, worker, 3, "ask", slot=0)
    run(world, worker, 4, "ask", slot=1)
    world.insert(task_type="ask")
    [demand] = world.call(queue_demand.read)
    assert (demand.ready, demand.free) == (1, 1)
    run(world, worker, 1, "ask", slot=0)
    world.insert(task_type="ask")
    [demand] = world.call(queue_demand.read)
    assert demand.free == 0


def test_the_last_worker_of_its_queues_is_remembered_with_its_lanes(world: World) -> None:
    ids = [world.worker("a", "b"), world.worker("a", "b"), world.worker("a"), world.worker("a")]
    for worker in ids[:3]:
        world.call(workers.leave, worker)
    world.sql("UPDATE workers SET heartbeat_at = now() - interval '2 days' RETURNING id")
    assert world.call(workers.forget) == 2
    left = {row["id"] for row in world.sql("SELECT id FROM workers")}
    assert left == {ids[1], ids[3]}


@pytest.mark.parametrize("task_type", TYPES)
def test_a_running_job_says_its_lane(world: World, task_type: str) -> None:
    worker = mixed(world)
    run(world, worker, 1, task_type, slot=0)
    [job] = world.call(workers.running, [worker])
    assert (job.task_type, job.lane) == (task_type, dict(zip(TYPES, MIXED, strict=True))[task_type])
