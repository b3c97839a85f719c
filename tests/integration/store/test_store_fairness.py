"""Fair queueing: a flood of one fairness key holds up nobody else, is not held up when alone, and never starves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError

from jobcore.store import fair_turns, firings, gauges, jobs, queue_demand, queues
from jobcore.store.transactions import transaction
from tests.integration.store.world import World, race

FLOOD = 1000
HORIZON = timedelta(seconds=600)
ROUNDS = 30


def flood(world: World, key: str, count: int = FLOOD) -> list[UUID]:
    """Accept jobs of a key, a hundred a statement."""
    return [job for _ in range(count // 100) for job in world.insert_many(100, fairness_key=key)]


def take(world: World, count: int) -> list[UUID]:
    """Claim so many jobs one by one."""
    worker = world.worker()
    return [claim.id for _ in range(count) for claim in world.take(worker)]


def keys(world: World, ids: Sequence[UUID]) -> list[str]:
    """The fairness key of each job."""
    found = {row["id"]: row["fairness_key"] for row in world.sql("SELECT id, fairness_key FROM jobs")}
    return [found[job_id] for job_id in ids]


def lead(world: World, job_id: UUID) -> timedelta:
    """How far a job ranks behind the time at which it came."""
    row = world.row(job_id)
    wait: timedelta = row["rank"] - row["created_at"]
    return wait


def age(world: World, by: timedelta) -> None:
    """Let time pass."""
    for table, columns in (("jobs", ("rank", "run_at", "created_at")), ("fair_turns", ("first_rank", "next_rank"))):
        older = ", ".join(f"{column} = {column} - :by" for column in columns)
        world.sql(f"UPDATE {table} SET {older} RETURNING 1", by=by)
    world.sql("UPDATE queues SET low_rank = '-infinity' RETURNING name")


def test_a_few_jobs_take_turns_with_the_flood_that_came_before(world: World) -> None:
    flood(world, "a")
    few = world.insert_many(10, fairness_key="b")
    first = take(world, 30)
    assert set(few) <= set(first)
    assert few[0] in first[:10], "only behind turns whose time has come"


def test_two_floods_take_turns(world: World) -> None:
    flood(world, "a", 300)
    flood(world, "b", 300)
    counted: Counter[str] = Counter()
    for key in keys(world, take(world, 200)):
        counted[key] += 1
        assert abs(counted["a"] - counted["b"]) <= 5, "one a turn, and what came between the two intakes"
    assert counted.total() == 200


def test_a_job_without_a_key_goes_before_a_flood(world: World) -> None:
    flood(world, "a")
    free = world.insert()
    assert free in take(world, 10), "only behind turns whose time has come"


def test_queues_and_keys_take_their_turns_apart(world: World) -> None:
    flood(world, "a")
    assert lead(world, world.insert(fairness_key="a", queue="other")) == timedelta(0)
    assert lead(world, world.insert(fairness_key="b")) == timedelta(0)


def test_a_flood_alone_is_claimed_at_once_and_in_the_order_it_came(world: World) -> None:
    ids = flood(world, "a", 100)
    world.refresh_low_ranks()
    claims = world.take(world.worker(), limit=1000, quick=["echo"])
    assert [claim.id for claim in claims] == ids


def test_no_turn_is_later_than_the_horizon_so_that_a_flood_goes_before_what_comes_after_it(world: World) -> None:
    ids = flood(world, "a")
    [leads] = world.sql("SELECT min(rank - created_at) AS first, max(rank - created_at) AS last FROM jobs")
    assert (leads["first"], leads["last"]) == (timedelta(0), HORIZON)
    age(world, HORIZON)
    world.insert_many(50)
    claims = world.take(world.worker(), limit=FLOOD, quick=["echo"])
    assert [claim.id for claim in claims] == ids


def test_a_flood_is_forgotten_after_the_horizon(world: World) -> None:
    flood(world, "a")
    age(world, HORIZON)
    assert lead(world, world.insert(fairness_key="a")) == timedelta(0)


def test_priority_wins_inside_a_key(world: World) -> None:
    flood(world, "a", 100)
    urgent = world.insert(fairness_key="a", priority=9)
    level = world.insert(fairness_key="a", priority=1)
    first = take(world, 50)
    assert first[0] == urgent
    assert 40 <= first.index(level) <= 45, "a level is worth 60 turns"


def test_a_delayed_job_takes_no_turn_and_lines_up_when_it_is_due(world: World) -> None:
    delayed = world.insert_many(3, fairness_key="a", delay_s=60)
    assert world.sql("SELECT * FROM fair_turns") == []
    world.sql("UPDATE jobs SET run_at = now() WHERE id = ANY(:ids) RETURNING id", ids=delayed)
    world.promote()
    assert len({world.row(job_id)["rank"] for job_id in delayed}) == 1


def test_a_limited_queue_is_served_in_turns(world: World) -> None:
    world.limit_queue(10)
    flood(world, "a", 100)
    few = world.insert_many(3, fairness_key="b")
    assert set(few) <= set(take(world, 10))


def test_jobs_without_a_key_leave_no_trace_of_a_turn(world: World) -> None:
    world.insert_many(5, priority=2)
    assert world.sql("SELECT * FROM fair_turns") == []
    assert {row["wait"] for row in world.sql("SELECT rank - created_at AS wait FROM jobs")} == {timedelta(seconds=-120)}


def test_how_long_a_job_is_ready_counts_from_when_it_came_and_not_from_its_turn(world: World) -> None:
    world.insert_many(20, fairness_key="a")
    age(world, timedelta(seconds=5))
    take(world, 15)  # what is left has its turn in the future
    [group] = [group for group in world.call(gauges.open_jobs) if group.state == "ready"]
    [demand] = world.call(queue_demand.read)
    [queue] = world.call(queues.page)
    [claim] = world.take(world.worker())
    assert [group.oldest_s, demand.oldest_s, queue.oldest_s, claim.ready_s] == [pytest.approx(5, abs=4)] * 4


def test_intakes_at_once_give_out_each_turn_once_and_never_wait_in_a_circle(world: World) -> None:
    """Not by `World.call`, which tries again after a deadlock."""

    def insert(names: Sequence[str]) -> Callable[[], None]:
        given = [world.new(fairness_key=name) for name in names for _ in range(3)]

        def run() -> None:
            with world.db.engine.connect() as connection:
                jobs.insert(connection, given)

        return run

    names = [f"key-{number}" for number in range(6)]
    for _ in range(ROUNDS):
        race(*[insert(order) for order in [names, names[::-1]] * 3])
    rows = world.sql("SELECT count(*) AS jobs, count(DISTINCT rank) AS ranks FROM jobs GROUP BY fairness_key")
    assert [(row["jobs"], row["ranks"]) for row in rows] == [(ROUNDS * 6 * 3, ROUNDS * 6 * 3)] * len(names)


def test_a_keeper_that_is_frozen_while_it_fires_does_not_keep_intakes_of_the_same_key_waiting(world: World) -> None:
    with suppress(OperationalError), world.db.engine.connect() as frozen, transaction(frozen):
        frozen.execute(firings.LOCK, {"firings": "[]"})
        jobs.insert_inside(frozen, [world.new(fairness_key="a")])
        world.insert(fairness_key="a")
    assert len(world.sql("SELECT FROM jobs")) == 1


def test_turns_of_long_ago_are_cleared_away_and_others_stay(world: World) -> None:
    for name in ("old", "older", "oldest"):
        world.insert(fairness_key=name)
    age(world, timedelta(minutes=2))
    world.insert(fairness_key="new")
    assert [world.call(fair_turns.forget, 2) for _ in range(3)] == [2, 1, 0]
    assert [row["key"] for row in world.sql("SELECT key FROM fair_turns")] == ["new"]
