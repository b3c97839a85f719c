"""Jobs that no active worker can run are counted, and a queue that nobody uses can be deleted."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import count

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.models import Cause
from jobcore.store import queue_deletion, queues, served, workers
from jobcore.store.queue_deletion import Deletion
from tests.integration.store.world import QUEUE, World, race


def unserved(world: World, name: str = QUEUE, limit: int = 1000) -> int:
    found = world.call(queues.find, name, limit)
    assert found is not None
    [listed] = [queue for queue in world.call(queues.page, limit=limit) if queue.name == name]
    assert listed.unserved == found.unserved
    return found.unserved


def test_what_workers_can_run_follows_their_state(world: World) -> None:
    assert world.call(served.read).lacks("a", "echo") is Cause.QUEUE_NOT_SERVED
    worker = world.worker("a", types=["echo"])
    world.worker("a", "b", types=["sleep"])
    world.worker("c", types=None)
    now = world.call(served.read)
    can = {(queue, name): now.lacks(queue, name) for queue in ("a", "b", "c") for name in ("echo", "sleep")}
    assert can == {
        ("a", "echo"): None, ("a", "sleep"): None, ("b", "echo"): Cause.TASK_TYPE_UNKNOWN, ("b", "sleep"): None,
        ("c", "echo"): None, ("c", "sleep"): None,
    }  # fmt: skip
    world.call(workers.beat, worker, draining=True)
    assert world.call(served.read).lacks("a", "echo") is Cause.TASK_TYPE_UNKNOWN


def test_jobs_that_no_worker_can_run_are_counted_by_queue(world: World) -> None:
    for number, (queue, task_type) in enumerate([("a", "echo"), ("a", "new"), ("b", "echo"), (QUEUE, "zeta")], 1):
        world.insert_many(number, queue=queue, task_type=task_type)
    world.insert_many(9, queue="a", task_type="new", delay_s=60)
    assert [unserved(world, name) for name in ("a", "b", QUEUE)] == [3, 3, 4]
    worker = world.worker("a", types=["echo", "other"])
    assert [unserved(world, name) for name in ("a", "b", QUEUE)] == [2, 3, 4]
    assert unserved(world, "b", limit=2) == 2, "the count has a bound"
    world.worker("a", "b", QUEUE, types=None)
    assert [unserved(world, name) for name in ("a", "b", QUEUE)] == [0, 0, 0]
    world.call(workers.leave, worker)


@pytest.mark.parametrize("what", [{}, {"delay_s": 60}, {"concurrency_key": "k"}], ids=["ready", "waiting", "blocked"])
def test_a_queue_with_an_open_job_is_not_deleted(world: World, what: dict[str, object]) -> None:
    job_id = world.insert(**what)
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=False, workers=0)
    world.cancel(job_id)
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=True, workers=0)
    assert world.call(queues.find, QUEUE) is None


def test_a_queue_whose_run_is_not_over_is_not_deleted(world: World) -> None:
    worker = world.worker()
    claim = world.running(worker)
    world.call(workers.leave, worker)
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=False, workers=0)
    world.cancel(claim.id)
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=False, workers=0), "it is stopping"


def test_a_queue_that_a_worker_serves_is_not_deleted(world: World) -> None:
    world.limit_queue(3)
    worker = world.worker()
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=True, workers=1)
    world.call(workers.leave, worker)
    assert world.call(queue_deletion.delete, QUEUE) == Deletion(empty=True, workers=0)
    assert world.call(queue_deletion.delete, QUEUE) is None


def test_no_job_is_left_without_its_queue_when_both_come_at_once(world: World) -> None:
    worker = world.worker("other")
    numbers = count()

    def delete() -> None:
        with suppress(StoreUnavailable):  # an intake took longer than the deletion waits
            world.call(queue_deletion.delete, QUEUE)

    for _ in range(40):
        world.limit_queue(None)
        race(delete, partial(world.insert, tags=(str(next(numbers)),)), delete)
        assert [name for name in world.call(queues.names) if name == QUEUE] == [QUEUE]
        [claim] = world.take(worker)
        world.finish(claim)
