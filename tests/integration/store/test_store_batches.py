"""Batches: one transaction, and one effect of an idempotency key, whatever breaks."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from functools import partial
from uuid import uuid4

import pytest

from jobcore.errors import StoreUnavailable
from jobcore.models import IdempotencyKey, NewJob
from jobcore.store import health, idempotency, job_batches, job_rows, json_text
from jobcore.store.database import Database, RowRefused
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.idempotency import IdempotencyKeyInUse, IdempotencyKeyReused
from jobcore.store.job_batches import BatchOutcome, JobBatch
from tests.harness import connect
from tests.integration.store.world import World, race

CUTS = 60


def key(text: str, asked: str = "a") -> IdempotencyKey:
    return IdempotencyKey(text, asked.encode().hex().rjust(64, "0"))


def batch_of(*jobs: NewJob, items: object = ()) -> JobBatch:
    return JobBatch(tuple(job.id for job in jobs), job_rows.rows(jobs), json_text.dumps(items))


def accept(world: World, batch: JobBatch, key: IdempotencyKey | None = None) -> BatchOutcome:
    return world.call(job_batches.accept, batch, key)


def made(outcome: BatchOutcome) -> int:
    return sum(alike.jobs for alike in outcome.accepted)


def count(world: World) -> int:
    return len(world.sql("SELECT id FROM jobs"))


def test_a_batch_is_one_commit(world: World) -> None:
    outcome = accept(world, batch_of(*(world.new() for _ in range(20))))
    rows = world.sql("SELECT DISTINCT xmin::text AS xmin, created_at FROM jobs")
    assert [row["created_at"] for row in rows] == [outcome.created_at]
    assert [alike.jobs for alike in outcome.accepted] == [20]


def test_a_row_that_is_refused_takes_the_whole_batch_and_its_key_with_it(world: World) -> None:
    there = world.insert()
    with pytest.raises(RowRefused):
        accept(world, batch_of(world.new(), world.new()._replace(id=there)), key("k"))
    assert count(world) == 1
    assert world.call(job_batches.find, key("k")) is None


def test_a_repeated_batch_is_found_with_what_was_kept_of_it(world: World) -> None:
    live = world.insert(dedupe_key="d")
    given = world.new(), world.new(dedupe_key="d")
    first = accept(world, batch_of(*given, items=["kept"]), key("k"))
    again = accept(world, batch_of(world.new(), world.new(dedupe_key="e"), items=["other"]), key("k"))
    assert (first.items, again.items, again.accepted) == (None, ["kept"], ())
    assert (again.created_at, again.live) == (first.created_at, first.live)
    assert [job.id for job in first.live.values()] == [live]
    found = world.call(job_batches.find, key("k"))
    assert found == again
    assert count(world) == 2
    with pytest.raises(IdempotencyKeyReused):
        accept(world, batch_of(), key("k", "b"))
    with pytest.raises(IdempotencyKeyReused):
        world.call(job_batches.find, key("k", "b"))


def test_a_batch_of_nothing_but_live_jobs_has_an_answer_too(world: World) -> None:
    live = world.insert(dedupe_key="d")
    for _ in range(2):
        outcome = accept(world, batch_of(world.new(dedupe_key="d")), key("k"))
        assert ([job.id for job in outcome.live.values()], outcome.created_at) == ([live], None)


def test_of_two_batches_at_once_with_a_dedupe_key_one_makes_the_job(world: World) -> None:
    for number in range(30):
        one, two = (batch_of(world.new(), world.new(dedupe_key=f"d{number}")) for _ in range(2))
        outcomes = race(partial(accept, world, one), partial(accept, world, two))
        assert sorted(made(outcome) for outcome in outcomes) == [1, 2]
    assert count(world) == 90


def test_of_many_with_one_idempotency_key_one_has_an_effect(world: World) -> None:
    batches = [batch_of(world.new(), items=[number]) for number in range(8)]
    outcomes = race(*(partial(accept, world, given, key("k")) for given in batches))
    assert sum(outcome.items is None for outcome in outcomes) == 1
    assert count(world) == 1


@pytest.mark.parametrize(
    ("hold", "with_key", "error"),
    [
        ("INSERT INTO idempotency_keys (key, fingerprint) VALUES ('k', sha256('x'))", True, IdempotencyKeyInUse),
        (
            "INSERT INTO jobs (id, task_type, queue, status, ready, run_at, rank, input, max_attempts, dedupe_key)"
            " VALUES (gen_random_uuid(), 'echo', 'held', 'PENDING', false, now(), now(), '{}', 1, 'd')",
            False,
            DedupeKeyInUse,
        ),
    ],
)
def test_a_key_that_another_transaction_holds_is_in_use_and_nothing_is_accepted(
    world: World, database_url: str, hold: str, with_key: bool, error: type[Exception]
) -> None:
    given = batch_of(world.new(), world.new(dedupe_key="d"))
    with closing(connect(database_url)) as holder:
        holder.cursor().execute(hold)
        with pytest.raises(error):
            accept(world, given, key("k") if with_key else None)
        assert count(world) == 0
        holder.rollback()
    assert made(accept(world, given, key("k") if with_key else None)) == 2


def test_cut_connections_never_split_a_batch_or_make_it_twice(world: World, database_url: str) -> None:
    """Each batch is repeated with its key until it is answered, while connections are cut at random moments."""
    stop = threading.Event()
    dice = random.Random(7)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'batches-under-test'"
    database = Database(database_url, name="batches-under-test", pool_size=1)
    refused = answered = 0

    def cut() -> None:
        for _ in range(CUTS):
            if stop.wait(dice.uniform(0.005, 0.1)):
                break
            world.sql(kill)

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        while cutter.is_alive():
            name = key(uuid4().hex)
            while True:
                given = batch_of(*(world.new(queue="cut") for _ in range(50)))
                try:
                    database.call(job_batches.accept, given, name)
                    break
                except StoreUnavailable:
                    refused += 1
            answered += 1
            sizes = world.sql("SELECT count(*) AS count FROM jobs GROUP BY xmin::text")
            assert {row["count"] for row in sizes} == {50}
    finally:
        stop.set()
        cutter.join()
        database.close()
    assert refused, "no connection was cut while it mattered"
    assert count(world) == 50 * answered


def test_an_old_key_of_a_batch_is_deleted_and_free_again(world: World) -> None:
    accept(world, batch_of(world.new()), key("k"))
    world.sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' RETURNING key")
    assert world.call(idempotency.forget, 86_400.0) == 1
    assert made(accept(world, batch_of(world.new()), key("k"))) == 1
    assert world.call(health.committed, []) == []
