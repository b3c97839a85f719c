"""A key that another transaction holds: its submissions wait for it, and no other submission does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from jobcore.admission.held_keys import RETRIES
from jobcore.models import Accepted, IdempotencyKey, KnownJob, NewJob
from jobcore.store import idempotency, jobs
from jobcore.store.dedupe_keys import DedupeKeyInUse
from jobcore.store.idempotency import IdempotencyKeyInUse
from tests.integration.desk import Answer, Desk
from tests.integration.store.world import World
from tests.waiting import PATIENCE_S, until_async

Submit = Callable[[int], tuple[NewJob, IdempotencyKey | None]]


def key(name: str) -> IdempotencyKey:
    return IdempotencyKey(name, "aa" * 32)


def with_key(world: World) -> Submit:
    return lambda number: (world.new(), key(f"held-{number}"))


def with_dedupe_key(world: World) -> Submit:
    return lambda number: (world.new(dedupe_key=f"held-{number}"), None)


@contextmanager
def holding(world: World, submit: Submit, count: int = 1) -> Iterator[Connection]:
    """A transaction that has accepted `count` jobs and goes on; the end of the block rolls it back."""
    world.insert()  # the queue exists: whoever makes one holds its name until the commit
    with world.db.engine.connect() as connection:
        connection.execute(text("BEGIN"))
        for job, given in map(submit, range(count)):
            if given:
                claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES (:key, decode(:fingerprint, 'hex'))"
                connection.execute(text(claim), {"key": given.text, "fingerprint": given.fingerprint})
            jobs.insert_inside(connection, [job])
        yield connection
        connection.execute(text("ROLLBACK"))


def submitted(desk: Desk, given: list[tuple[NewJob, IdempotencyKey | None]]) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(desk.intake.submit(*each)) for each in given]


@pytest.mark.parametrize("kind", [with_key, with_dedupe_key])
def test_others_are_accepted_while_a_key_is_held_and_its_submissions_once_it_is_free(
    world: World, desk: Desk, kind: Callable[[World], Submit]
) -> None:
    submit = kind(world)

    async def run() -> list[Answer]:
        with holding(world, submit):
            held = submitted(desk, [submit(0) for _ in range(5)])
            for _ in range(3):
                others = [*(submit(n) for n in range(1, 20)), *((world.new(), None) for _ in range(20))]
                answers = await asyncio.gather(*submitted(desk, others))
                assert len(answers) == len(others)
            assert not any(task.done() for task in held), "the key is held, and one of its submissions has an answer"
        return list(await asyncio.gather(*held, return_exceptions=True))

    answers = asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    [made] = [answer for answer in answers if isinstance(answer, Accepted)]
    assert [answer.id for answer in answers if isinstance(answer, KnownJob)] == [made.id] * 4


@pytest.mark.parametrize(("kind", "error"), [(with_key, IdempotencyKeyInUse), (with_dedupe_key, DedupeKeyInUse)])
def test_a_submission_is_refused_when_its_patience_is_over(
    world: World, database_url: str, kind: Callable[[World], Submit], error: type[Exception]
) -> None:
    submit = kind(world)
    desk = Desk(database_url, patience_s=0.2)
    count = 3 * RETRIES
    with holding(world, submit, count):
        given = [submit(number) for number in range(count)]
        answers = desk.submit([job for job, _ in given], [one for _, one in given])
    assert {type(answer) for answer in answers} == {error}
    assert world.call(jobs.find, [job.id for job, _ in given]) == []
    desk.intake.stop()
    desk.db.close()


def test_many_held_keys_cost_others_a_bounded_number_of_tries(world: World, desk: Desk) -> None:
    """Of 200 held keys, so many are told apart from each other as are tried at once; the rest is set aside together."""
    submit = with_key(world)

    async def run() -> int:
        with holding(world, submit, 200):
            held = submitted(desk, [submit(number) for number in range(200)])
            await until_async(lambda: desk.inserts() > 0, what="the first try")
            await asyncio.gather(*submitted(desk, [(world.new(), key(uuid4().hex)) for _ in range(20)]))
            tries = desk.inserts()
        await asyncio.gather(*held)
        return tries

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_S)) < 200


def test_a_locked_table_is_waited_for_without_a_try_for_each_submission(world: World, desk: Desk) -> None:
    async def run() -> int:
        await desk.intake.submit(world.new(), key("prepares the statement"))
        with world.db.engine.connect() as lock:
            lock.execute(text("BEGIN; LOCK TABLE idempotency_keys IN EXCLUSIVE MODE"))
            waiting = submitted(desk, [(world.new(), key(uuid4().hex)) for _ in range(400)])
            await until_async(lambda: desk.held.pause_s() is not None, what="the submissions are set aside")
            tries = desk.inserts()
            lock.execute(text("ROLLBACK"))
        answers = await asyncio.gather(*waiting)
        assert all(isinstance(answer, Accepted) for answer in answers)
        return tries

    assert asyncio.run(asyncio.wait_for(run(), PATIENCE_S)) < 100


def test_an_intake_that_stops_answers_those_that_wait_for_a_key(world: World, database_url: str) -> None:
    desk = Desk(database_url)
    submit = with_key(world)

    async def run() -> list[Answer]:
        held = submitted(desk, [submit(0) for _ in range(3)])
        await until_async(lambda: desk.held.pause_s() is not None, what="the submissions are set aside")
        await asyncio.to_thread(desk.intake.stop)
        return list(await asyncio.gather(*held, return_exceptions=True))

    with holding(world, submit):
        answers = asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
    assert [type(answer) for answer in answers] == [IdempotencyKeyInUse] * 3
    desk.db.close()


def test_one_bad_row_of_many_costs_few_more_commits(world: World, desk: Desk) -> None:
    given = [world.new(**({"priority": 99} if number == 123 else {})) for number in range(400)]
    answers = desk.submit(given)
    assert sum(isinstance(answer, Accepted) for answer in answers) == 399
    assert desk.inserts() < 40


def test_a_store_function_waits_as_long_as_it_is_told(world: World) -> None:
    submit = with_key(world)
    with holding(world, submit), pytest.raises(IdempotencyKeyInUse):
        world.call(idempotency.accept_once, [submit(0)], 1)
