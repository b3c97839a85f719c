"""What the keeper measures is right, and costs no more with a long history."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from jobcore.models import by_lane
from jobcore.states import Status
from jobcore.store import gauges, rate_limits, start_permits
from jobcore.store.gauges import Fleet
from jobcore.store.rate_limits import RateLimit
from tests.integration.store.world import QUEUE, World

ONE = by_lane((1, 0, 0))
NONE = by_lane((0, 0, 0))


def counts(world: World, **options: int) -> dict[tuple[str, str, str], int]:
    found = world.call(gauges.open_jobs, **options)
    return {(group.queue, group.task_type, group.state): group.count for group in found}


def test_open_jobs_are_counted_by_queue_type_and_state_and_ended_ones_are_not(world: World) -> None:
    for status in (Status.SUCCESS, Status.FAILED, Status.CANCELLED):
        world.ended(status)
    world.running(task_type="sleep")
    world.insert_many(3)
    world.insert(task_type="sleep", queue="other")
    world.insert_many(2, delay_s=60, queue="other")
    assert counts(world) == {
        (QUEUE, "sleep", "running"): 1,
        (QUEUE, "echo", "ready"): 3,
        ("other", "sleep", "ready"): 1,
        ("other", "echo", "waiting"): 2,
    }


def test_no_more_than_the_limit_is_counted_of_each_queue(world: World) -> None:
    world.insert_many(9)
    world.insert_many(9, queue="other")
    assert counts(world, limit=5) == {(QUEUE, "echo", "ready"): 5, ("other", "echo", "ready"): 5}


def test_the_age_of_the_oldest_counts_from_when_it_became_ready_whatever_its_priority(world: World) -> None:
    old = world.insert()
    world.edit(old, "rank = rank - interval '100 s'")
    world.insert(priority=9)
    world.sql("UPDATE queues SET low_rank = '-infinity' RETURNING name")
    [group] = world.call(gauges.open_jobs)
    assert group.count == 2
    assert group.oldest_s == pytest.approx(100, abs=5)


def test_workers_are_counted_in_each_queue_they_serve_and_dead_ones_nowhere(world: World) -> None:
    busy = world.worker(QUEUE, "other", concurrency=4)
    world.worker(QUEUE, concurrency=3, state="draining")
    for state in ("dead", "gone"):
        world.worker(QUEUE, state=state)
    world.running(busy)
    world.sql("UPDATE workers SET heartbeat_at = now() - interval '50 s' WHERE id = :id RETURNING id", id=busy)
    found = sorted(world.call(gauges.fleets), key=lambda fleet: (fleet.queue, fleet.state))
    assert [replace(fleet, heartbeat_age_s=0) for fleet in found] == [
        Fleet(QUEUE, "active", 1, 4, 3, ONE, by_lane((3, 0, 0)), 0),
        Fleet(QUEUE, "draining", 1, 3, 0, NONE, NONE, 0),
        Fleet("other", "active", 1, 4, 3, ONE, by_lane((3, 0, 0)), 0),
    ]
    assert [fleet.heartbeat_age_s for fleet in found] == pytest.approx([50, 0, 50], abs=5)


def test_ended_jobs_are_never_read_however_statistics_stand(world: World) -> None:
    world.ended(Status.SUCCESS)
    world.insert()

    def plan(connection: Connection) -> str:
        statements, _, query = gauges.OPEN.text.partition("WITH")
        explain = text(f"{statements} EXPLAIN WITH {query}")
        return "\n".join(row[0] for row in connection.execute(explain, {"limit": 20_000}))

    for _ in range(2):
        lines = world.call(plan)
        assert "Seq Scan on jobs" not in lines
        assert {index for index in ("jobs_claim", "jobs_delayed", "jobs_running") if index in lines} == {
            "jobs_claim",
            "jobs_delayed",
            "jobs_running",
        }
        world.sql("SELECT 1 FROM (SELECT pg_stat_force_next_flush()) AS now")
        world.call(lambda connection: connection.execute(text("ANALYZE jobs")) and None)


def test_jobs_that_a_rate_limit_keeps_from_starting_are_counted_by_queue(world: World) -> None:
    world.call(rate_limits.put, RateLimit("key", 1, 60))
    world.insert_many(3, rate_key="key", queue="of-key")
    world.call(start_permits.unblock, ["key"])
    world.limit_rate(2, 60, "rated")
    world.insert_many(5, queue="rated")
    world.insert_many(5)
    assert world.call(gauges.rate_blocked) == {"of-key": 2, "rated": 3}
