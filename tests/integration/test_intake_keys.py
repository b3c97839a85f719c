"""Idempotency keys and dedupe keys in batches of the intake: exact whatever breaks, and whatever a batch repeats."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, IdempotencyKey, KnownJob
from jobcore.store import health, idempotency, jobs
from jobcore.store.idempotency import IdempotencyKeyReused
from tests.backends import end_backends
from tests.integration.desk import Desk
from tests.integration.store.world import World
from tests.waiting import PATIENCE_S

CUTS = 60


def key(text: str, asked: str = "a") -> IdempotencyKey:
    return IdempotencyKey(text, asked.encode().hex().rjust(64, "0"))


def test_the_repeat_of_a_submission_whose_reply_was_lost_is_answered_with_the_same_job(
    world: World, database_url: str
) -> None:
    """PostgreSQL is away at once after the commit, so not even the look for the rows can tell: the client gets 503."""
    desk = Desk(database_url)
    armed = True

    def lose_reply(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal armed
        if armed and "EXECUTE longrun_accept_keyed" in statement:
            armed = False
            assert end_backends(database_url, "intake-under-test") == 1
            cursor.execute("SELECT 1")

    def away(connection: Any, *_: Any) -> None:
        raise StoreUnavailable("away")

    event.listen(desk.db.engine, "after_cursor_execute", lose_reply)
    first, repeated = world.new(), world.new()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "committed", away)
        [lost] = desk.submit([first], [key("k")])
    assert isinstance(lost, StoreUnavailable)
    assert not armed
    [answer] = desk.submit([repeated], [key("k")])
    assert isinstance(answer, KnownJob)
    assert (answer.id, answer.replayed) == (first.id, True)
    assert [job.id for job in world.call(jobs.find, [first.id, repeated.id])] == [first.id]
    desk.intake.stop()
    desk.db.close()


def test_cut_connections_never_make_two_jobs_of_one_key(world: World, desk: Desk) -> None:
    """Each submission is repeated with its key until it is answered, while connections are cut at random moments."""
    stop = threading.Event()
    refused: list[str] = []
    texts = map(str, itertools.count())

    def cut() -> None:
        dice = random.Random(11)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'intake-under-test'"
        for _ in range(CUTS):
            if stop.wait(dice.uniform(0.005, 0.1)):
                break
            world.sql(kill)

    async def until_answered(text: str) -> Accepted | KnownJob:
        while True:
            try:
                return await desk.intake.submit(world.new(queue="cut"), key(text))
            except StoreUnavailable:
                refused.append(text)

    async def submit_all() -> list[Accepted | KnownJob]:
        answers: list[Accepted | KnownJob] = []
        while cutter.is_alive():
            answers += await asyncio.gather(*map(until_answered, itertools.islice(texts, 10)))
        return answers

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        answers = asyncio.run(asyncio.wait_for(submit_all(), 3 * PATIENCE_S))
    finally:
        stop.set()
        cutter.join()
    stored = {UUID(str(row["id"])) for row in world.sql("SELECT id FROM jobs WHERE queue = 'cut'")}
    assert refused, "no connection was cut while it mattered"
    assert len(stored) == len(answers)
    assert {answer.id for answer in answers} == stored


def test_a_batch_may_repeat_its_own_keys_in_every_way(world: World, desk: Desk) -> None:
    live = world.insert(dedupe_key="d")
    given = [
        (world.new(), key("one")),
        (world.new(), key("one")),
        (world.new(), key("one", "b")),
        (world.new(dedupe_key="d"), key("two")),
        (world.new(dedupe_key="d"), key("two")),
        (world.new(dedupe_key="e"), None),
        (world.new(dedupe_key="e"), key("three")),
        (world.new(dedupe_key="e"), key("three")),
        (world.new(), None),
    ]
    answers = desk.submit([job for job, _ in given], [one for _, one in given])
    assert isinstance(answers[2], IdempotencyKeyReused)
    kinds = [
        (isinstance(answer, Accepted), getattr(answer, "id", None)) for answer in answers if answer is not answers[2]
    ]
    one, plain = given[0][0].id, given[8][0].id
    made = [identity for _, identity in kinds if identity not in (one, live, plain)]
    assert len(made) == 3
    assert len(set(made)) == 1, "two live jobs have one dedupe key"
    assert [identity for _, identity in kinds[:4]] == [one, one, live, live]
    assert sum(accepted for accepted, _ in kinds) == 3
    assert len(world.sql("SELECT id FROM jobs")) == 4


def test_old_keys_are_deleted_in_batches_and_free_again(world: World, desk: Desk) -> None:
    keys = [key(f"k{number}") for number in range(10)]
    first = desk.submit([world.new() for _ in keys], keys)
    world.sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key <> 'k9' RETURNING key")
    assert [world.call(idempotency.forget, 86_400.0, 4) for _ in range(4)] == [4, 4, 1, 0]
    again = desk.submit([world.new() for _ in keys], keys)
    assert all(isinstance(answer, Accepted) for answer in [*first, *again[:9]])
    assert isinstance(again[9], KnownJob)
