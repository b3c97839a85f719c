"""Rollups tell how many jobs something happened to: each event is counted once, whoever counts and whatever fails."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import cycle

import pytest
from sqlalchemy import Connection, text

from jobcore.models import NewEvent
from jobcore.models.rollups import Rollup, Span
from jobcore.states import Status
from jobcore.store import jobs, rollups
from tests.integration.appending import append_events
from tests.integration.store.test_store_feed import transaction
from tests.integration.store.world import TYPES, World, race

COUNTERS = ("submitted", "succeeded", "failed", "cancelled", "retried")
BLOCKS_OF_AN_EVENT = 60
"""An event, its job and at most 24 counts, each with its place in an index."""

BACKGROUND = """
WITH made AS (
    INSERT INTO jobs (id, task_type, queue, rank, status, ready, run_at, input, max_attempts, finished_at)
    SELECT gen_random_uuid(), 'echo', 'default', now(), 'SUCCESS', false, now(), '{}', 1, now()
    FROM generate_series(1, 5000) RETURNING id
)
INSERT INTO job_events (job_id, seq, at, attempt, kind, data)
SELECT id, seq, now(), 0, 'state', '{"status": "SUCCESS"}' FROM made CROSS JOIN generate_series(1, 3) AS seq
"""


@pytest.fixture(autouse=True)
def counted(world: World) -> None:
    """Nothing is left to count when a test begins."""
    count_all(world)
    world.sql("DELETE FROM rollups RETURNING 1")
    world.sql("INSERT INTO queues (name) VALUES ('default') RETURNING name")


def count_all(world: World, limit: int = 1000) -> None:
    while world.call(rollups.count, limit) == limit:
        pass


def seen(world: World, owner: str | None = None, queue: str | None = None, span: Span = Span.MINUTE) -> Rollup:
    found = world.call(rollups.read, span, 60, owner, queue)
    return Rollup.of(each for counts in found.values() for each in counts)


def numbers(rollup: Rollup) -> dict[str, int]:
    return {what: rollup.jobs(what) for what in COUNTERS if rollup.jobs(what)}


def work(world: World, **fields: object) -> None:
    """Five jobs: one of each end, one that is retried, one that is handed back."""
    world.insert_many(5, **fields)
    done, failed, retried, handed, cancelled = world.take(world.worker(), 5, quick=TYPES)
    world.call(append_events, done.id, done.fence, [NewEvent("progress", {"done": 1})])
    world.finish(done)
    world.finish(failed, Status.FAILED)
    world.finish(retried, Status.PENDING, retry_s=60)
    world.release(handed, "handed_back")
    world.cancel(cancelled.id)


OF_FIVE = {"submitted": 5, "succeeded": 1, "failed": 1, "cancelled": 1, "retried": 1}


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_all_that_happens_is_counted_once_for_all_and_for_each_owner_and_queue(world: World, limit: int) -> None:
    work(world, owner="ada")
    count_all(world, limit)
    world.insert(queue="other")
    count_all(world, limit)
    for span in Span:
        assert numbers(seen(world, span=span)) == {**OF_FIVE, "submitted": 6}
        assert numbers(seen(world, "ada", span=span)) == OF_FIVE
        assert numbers(seen(world, "ada", "default", span=span)) == OF_FIVE
        assert numbers(seen(world, None, "other", span=span)) == {"submitted": 1}
        assert numbers(seen(world, "ada", "other", span=span)) == numbers(seen(world, "bob", span=span)) == {}


def test_keepers_that_count_at_once_while_jobs_are_submitted_count_each_once(world: World) -> None:
    for _ in range(5):
        race(*[lambda: world.insert_many(7), lambda: world.call(rollups.count, 5)] * 3)
    count_all(world)
    assert numbers(seen(world)) == {"submitted": 105}


def test_a_keeper_that_dies_while_it_counts_has_counted_nothing(world: World) -> None:
    world.insert_many(3)
    with transaction(world) as connection:
        assert rollups.count(connection, 1000) == 3
        connection.rollback()
    count_all(world)
    assert numbers(seen(world)) == {"submitted": 3}


def test_what_commits_late_is_counted_later(world: World) -> None:
    with transaction(world) as connection:
        jobs.insert_inside(connection, [world.new()])
        world.insert_many(2)
        count_all(world)
    count_all(world)
    assert numbers(seen(world)) == {"submitted": 3}


def test_a_database_that_came_from_another_server_is_counted_from_now_on(world: World) -> None:
    world.sql("UPDATE rollup_cursor SET txid = '1000000000000' RETURNING 1")
    count_all(world)
    world.insert()
    count_all(world)
    assert numbers(seen(world)) == {"submitted": 1}


def test_times_are_told_as_percentiles(world: World) -> None:
    claims = [world.running() for _ in range(20)]
    waited, ran = cycle([0.05] * 9 + [3]), cycle([0.2, 40])
    for claim in claims:
        world.finish(claim)
        world.sql(
            "WITH job AS (UPDATE jobs SET rank = now() - interval '9 min', run_at = now() - interval '9 min', "
            "started_at = now() - interval '9 min' + :waited, finished_at = now() - interval '9 min' + :waited + :ran "
            "WHERE id = :id RETURNING id, started_at, finished_at) "
            "UPDATE job_events SET at = CASE data ->> 'status' WHEN 'RUNNING' THEN started_at ELSE finished_at END "
            "FROM job WHERE job_id = id AND job_events.seq > 1 RETURNING 1",
            id=claim.id, waited=timedelta(seconds=next(waited)), ran=timedelta(seconds=next(ran)),
        )  # fmt: skip
    count_all(world)
    found = seen(world)
    assert (found.jobs("wait"), found.jobs("run")) == (20, 20)
    for what, share, expected in (("wait", 0.5, 0.05), ("wait", 0.95, 3), ("run", 0.25, 0.2), ("run", 0.9, 40)):
        assert found.percentile(what, share) == pytest.approx(expected, rel=0.42)


def test_an_owner_with_many_queues_makes_few_rows(world: World) -> None:
    for first in (0, 60, 120):
        world.call(jobs.insert, [world.new(queue=f"q{n}", owner="ada") for n in range(first, first + 60)])
        count_all(world)
    world.insert(queue="q7", owner="ada")
    world.insert(queue="q7", owner="bob")
    count_all(world)
    rows = world.sql("SELECT owner, count(*) AS rows FROM rollups WHERE span = 'hour' GROUP BY owner")
    assert {row["owner"]: row["rows"] for row in rows} == {"": 101, "ada": 101, "bob": 2}
    assert numbers(seen(world, "ada")) == {"submitted": 181}
    assert numbers(seen(world, "ada", "q7")) == {"submitted": 2}


def test_old_rollups_are_forgotten(world: World) -> None:
    world.insert()
    count_all(world)
    for span in Span:
        world.sql(
            "INSERT INTO rollups (span, at, owner, queue, what, range, jobs) "
            "SELECT :span, now() - :kept - age, '', '', 'submitted', 0, 1 "
            "FROM unnest(ARRAY[interval '0', '2 h']) AS age "
            "RETURNING 1",
            span=span, kept=span.kept,
        )  # fmt: skip
    assert [world.call(rollups.forget, 1) for _ in range(3)] == [1, 1, 0]
    assert Counter(row["span"] for row in world.sql("SELECT span FROM rollups")) == {"minute": 3, "hour": 3}


def test_a_step_reads_what_it_counts_and_not_the_history(world: World) -> None:
    world.call(lambda connection: connection.execute(text(BACKGROUND)) and None)
    count_all(world, 2000)
    world.insert_many(10)

    def blocks(connection: Connection) -> int:
        lock, _, query = rollups.COUNT.text.partition("WITH place")
        explain = f"{lock} EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) WITH place{query}"
        plan = connection.execute(text(explain), {"limit": 10}).scalar_one()[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])

    assert world.call(blocks) <= 10 * BLOCKS_OF_AN_EVENT
    assert numbers(seen(world))["submitted"] == 5010
