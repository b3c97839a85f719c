"""KEDA's question, as the chart renders it, asked of a real database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.chart.helm import Helm
from tests.chart.test_autoscaling import keda, scaled
from tests.integration.store.world import World


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with World(database_url) as world:
        yield world


def query(helm: Helm, *queues: str, maximum: int = 10) -> str:
    objects = scaled(helm, maxReplicas=maximum, jobsPerReplica=2, workload={"queues": list(queues)})
    (trigger,) = keda(objects)["triggers"]
    return str(trigger["metadata"]["query"])


def ask(world: World, statement: str) -> Any:
    def run(connection: Connection) -> Any:
        return connection.execute(text(statement)).scalar_one()

    return world.call(run)


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

    def plan(connection: Connection) -> str:
        connection.execute(text("ANALYZE jobs, queues"))
        lines = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {query(helm, 'default')}"))
        return "\n".join(line for (line,) in lines)

    shown = world.call(plan)
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
