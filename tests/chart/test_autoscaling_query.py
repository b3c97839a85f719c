"""KEDA's question, as the chart renders it, asked of a real database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from jobcore.store import workers
from tests.chart.helm import Helm
from tests.chart.objects import Object
from tests.chart.test_autoscaling import keda, scaled
from tests.integration.store.world import World


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with World(database_url) as world:
        yield world


TYPES = ("crunch", "ask", "fetch")
LANES = ("process", "async", "thread")


def query(helm: Helm, *queues: str, maximum: int = 10, jobs: int | None = 2, env: Object | None = None) -> str:
    """The query for a workload of these queues: in jobs, or with None in children."""
    workload = {"queues": list(queues), "env": env or {}}
    objects = scaled(helm, maxReplicas=maximum, jobsPerReplica=jobs, workload=workload)
    (trigger,) = keda(objects)["triggers"]
    return str(trigger["metadata"]["query"])


def ask(world: World, statement: str) -> Any:
    def run(connection: Connection) -> Any:
        return connection.execute(text(statement)).scalar_one()

    return world.call(run)


def plan(world: World, statement: str) -> str:
    """How PostgreSQL runs this query."""

    def explain(connection: Connection) -> str:
        connection.execute(text("ANALYZE jobs, queues, workers"))
        lines = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {statement}"))
        return "\n".join(line for (line,) in lines)

    return world.call(explain)


def test_ready_and_running_jobs_of_the_workloads_queues_count(helm: Helm, world: World) -> None:
    for queue in ("a", "b", "c"):
        worker = world.worker(queue, concurrency=2)
        world.running(worker, queue=queue)
        world.insert_many(2, queue=queue)
    assert ask(world, query(helm, "a", "b")) == 6


def test_jobs_that_wait_for_their_time_and_ended_jobs_do_not_count(helm: Helm, world: World) -> None:
    world.finish(world.running())
    world.cancel(world.insert())
    world.insert(delay_s=3600)
    assert ask(world, query(helm, "default")) == 0


def test_the_count_stops_where_more_pods_cannot_come(helm: Helm, world: World) -> None:
    world.insert_many(100)
    assert ask(world, query(helm, "default", maximum=7)) == 7 * 2


def test_a_queues_name_is_only_a_name(helm: Helm, world: World) -> None:
    world.insert_many(3, queue="it's")
    assert ask(world, query(helm, "it's")) == 3


def test_millions_of_ended_and_waiting_jobs_cost_the_count_nothing(helm: Helm, world: World) -> None:
    """Neither the table nor the waiting jobs are walked: only the two partial indexes that claims use."""
    world.insert_many(20_000)
    shown = plan(world, query(helm, "default"))
    assert "using jobs_claim" in shown, shown
    assert "using jobs_running" in shown, shown
    assert "Seq Scan on jobs" not in shown, shown


def test_a_limited_queue_asks_for_no_more_than_it_lets_run(helm: Helm, world: World) -> None:
    world.insert_many(9)
    world.limit_queue(3)
    assert ask(world, query(helm, "default")) == 3
    world.take(world.worker())
    assert ask(world, query(helm, "default")) == 3, "one runs, and two more may"
    world.limit_queue(0)
    assert ask(world, query(helm, "default")) == 1


def test_jobs_that_wait_share_a_child_and_one_that_computes_needs_it_whole(helm: Helm, world: World) -> None:
    children = query(helm, "default", jobs=None)
    worker = world.worker(types=TYPES, lanes=LANES, jobs_per_child=32)
    world.insert_many(40, task_type="ask")
    world.insert_many(8, task_type="fetch")
    assert ask(world, children) == 1.5
    world.insert_many(3, task_type="crunch")
    assert ask(world, children) == 4.5
    world.take(worker, 20, types=["ask"], quick=["ask"])
    assert ask(world, children) == 4.5, "running jobs count as ready ones do"


def test_thousands_of_jobs_that_wait_bring_as_many_pods_as_run_them_at_once(helm: Helm, world: World) -> None:
    world.worker(types=TYPES, lanes=LANES, jobs_per_child=50)
    world.insert_many(2_000, task_type="ask")
    env = {"LONGRUN_WORKER_CONCURRENCY": 4, "LONGRUN_JOBS_PER_CHILD": 50}
    assert ask(world, query(helm, "default", maximum=100, jobs=None, env=env)) == 2_000 / 50
    assert ask(world, query(helm, "default", maximum=3, jobs=None, env=env)) == 3 * 4, "more pods cannot come"


def test_a_task_type_keeps_its_lane_while_there_is_no_pod(helm: Helm, world: World) -> None:
    """Otherwise a workload that comes back from zero would ask for a child for each job that waits."""
    for lane in ("thread", "async"):
        worker = world.worker(types=["ask"], lanes=[lane], jobs_per_child=32)
        world.call(workers.leave, worker)
    world.worker("elsewhere", types=["ask"], lanes=["process"])
    world.insert_many(16, task_type="ask")
    assert ask(world, query(helm, "default", jobs=None)) == 0.5


def test_the_lane_is_that_of_the_newest_live_worker(helm: Helm, world: World) -> None:
    children = query(helm, "default", jobs=None)
    world.insert_many(16, task_type="ask")
    assert ask(world, children) == 16, "no worker has told: it may need its child whole"
    world.worker(types=["ask"])
    assert ask(world, children) == 16, "a worker of an earlier version knows one lane"
    world.worker(types=["ask"], lanes=["async"], jobs_per_child=32)
    assert ask(world, children) == 0.5


def test_the_count_in_children_costs_as_little(helm: Helm, world: World) -> None:
    world.worker(types=TYPES, lanes=LANES, jobs_per_child=32)
    world.insert_many(20_000, task_type="ask")
    shown = plan(world, query(helm, "default", jobs=None))
    assert "using jobs_claim" in shown, shown
    assert "using jobs_running" in shown, shown
    assert "Seq Scan on jobs" not in shown, shown
