"""Intake on a real PostgreSQL: many submissions a commit, and an answer only for what is committed."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from jobcore.admission.intake import Intake
from jobcore.errors import LongrunError, StoreUnavailable
from jobcore.models import Accepted
from jobcore.store import jobs
from jobcore.store.database import Database, RowRefused
from tests.backends import end_backends
from tests.integration.desk import Answer, Desk
from tests.integration.store.world import World
from tests.waiting import PATIENCE_S, until_async


def test_many_concurrent_submissions_share_few_commits(world: World, desk: Desk) -> None:
    given = [world.new() for _ in range(1200)]
    answers = desk.submit(given)
    assert [answer.id for answer in answers if isinstance(answer, Accepted)] == [job.id for job in given]
    assert desk.inserts() <= 12
    assert {accepted.id for batch in desk.reported for accepted in batch} == {job.id for job in given}


def test_an_answered_submission_is_committed(world: World, desk: Desk) -> None:
    async def submit_and_look() -> None:
        accepted = await desk.intake.submit(world.new())
        assert world.call(jobs.find, [accepted.id]) == [accepted]

    asyncio.run(submit_and_look())


@pytest.mark.parametrize("spoilt", [{"input": {"x": "\0"}}, {"input": {"x": "\ud800"}}, {"priority": 99}])
def test_one_bad_row_is_refused_alone(world: World, desk: Desk, spoilt: dict[str, Any]) -> None:
    given = [world.new(**(spoilt if number == 7 else {})) for number in range(20)]
    answers = desk.submit(given)
    assert isinstance(answers[7], RowRefused)
    assert [answer.id for answer in answers if isinstance(answer, Accepted)] == [
        job.id for job in given if job is not given[7]
    ]
    assert len(world.call(jobs.find, [job.id for job in given])) == 19


def test_a_cut_connection_never_leaves_an_accepted_job_absent(world: World, desk: Desk) -> None:
    """Connections are cut at random moments of many inserts; errors may be answered, lies may not."""
    stop = threading.Event()
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        dice = random.Random(7)
        # without waiting for the end of a connection: what is under test is any moment around it
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'intake-under-test'"
        while not stop.wait(dice.uniform(0.005, 0.04)):
            cuts += len(world.sql(kill))

    cutter = threading.Thread(target=cut)
    cutter.start()
    accepted, refused = 0, 0
    give_up = time.monotonic() + 3 * PATIENCE_S
    try:
        while min(accepted, refused) < 100 and time.monotonic() < give_up:
            given = [world.new() for _ in range(40)]
            answers = desk.submit(given)
            there = {found.id for found in world.call(jobs.find, [job.id for job in given])}
            for job, answer in zip(given, answers, strict=True):
                if isinstance(answer, Accepted):
                    assert answer.id == job.id
                    assert job.id in there
                    accepted += 1
                else:
                    assert isinstance(answer, StoreUnavailable)
                    refused += 1
    finally:
        stop.set()
        cutter.join()
    assert min(accepted, refused) >= 100, (accepted, refused, cuts)


def test_a_commit_whose_reply_was_lost_is_answered_as_accepted(world: World, database_url: str) -> None:
    """The connection breaks between the commit and its reply: the intake looks the ids up."""
    desk = Desk(database_url)
    armed = True

    def lose_reply(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal armed
        if armed and "EXECUTE longrun_accept" in statement:
            armed = False
            assert end_backends(database_url, "intake-under-test") == 1
            # the statement committed; what the client sees of the connection from now on is its end
            cursor.execute("SELECT 1")

    event.listen(desk.db.engine, "after_cursor_execute", lose_reply)
    [answer] = desk.submit([world.new()])
    assert isinstance(answer, Accepted)
    assert world.call(jobs.find, [answer.id]) == [answer]
    assert desk.reported == [[answer]]
    desk.intake.stop()
    desk.db.close()


def test_a_client_that_left_in_time_is_not_taken_at_its_word_and_holds_up_nobody(world: World, desk: Desk) -> None:
    under_way, leaver, stayer = world.new(), world.new(), world.new()
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'jobs'::regclass"

    async def leave(lock: Connection) -> None:
        late = asyncio.create_task(desk.intake.submit(under_way))
        await until_async(lambda: world.sql(waiting), what="the insert waits for the lock")
        left = asyncio.create_task(desk.intake.submit(leaver))
        await asyncio.sleep(0)
        left.cancel()
        late.cancel()
        lock.execute(text("ROLLBACK"))
        await desk.intake.submit(stayer)

    with world.db.engine.connect() as lock:
        lock.execute(text("BEGIN; LOCK TABLE jobs IN EXCLUSIVE MODE"))
        asyncio.run(leave(lock))
    there = {found.id for found in world.call(jobs.find, [under_way.id, leaver.id, stayer.id])}
    assert there == {under_way.id, stayer.id}


def test_an_event_loop_that_ended_meanwhile_does_not_end_the_intake(world: World, desk: Desk) -> None:
    async def leave_at_once() -> None:
        asyncio.get_running_loop().create_task(desk.intake.submit(world.new()))
        await asyncio.sleep(0)

    for _ in range(20):
        asyncio.run(leave_at_once())
    assert isinstance(desk.submit([world.new()])[0], Accepted)


def test_stopping_commits_what_waits(world: World, database_url: str) -> None:
    desk = Desk(database_url)
    given = [world.new() for _ in range(700)]

    async def submit_and_stop() -> list[Answer]:
        submitted = [asyncio.create_task(desk.intake.submit(job)) for job in given]
        await asyncio.sleep(0)
        await asyncio.to_thread(desk.intake.stop)
        return await asyncio.gather(*submitted, return_exceptions=True)

    answers = asyncio.run(submit_and_stop())
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len(world.call(jobs.find, [job.id for job in given])) == 700
    desk.db.close()


def test_a_stopped_intake_refuses_instead_of_keeping_the_client_waiting(world: World, database_url: str) -> None:
    desk = Desk(database_url)
    desk.intake.stop()
    [answer] = desk.submit([world.new()])
    assert isinstance(answer, LongrunError)
    desk.db.close()


def test_a_waker_that_fails_costs_nobody_an_answer(world: World, database_url: str) -> None:
    def fail(_accepted: list[Accepted]) -> None:
        raise ConnectionError("no broker")

    db = Database(database_url, name="test", pool_size=1)
    intake = Intake(db, fail)
    intake.start()

    async def submit() -> list[Answer]:
        return [await asyncio.wait_for(intake.submit(world.new()), PATIENCE_S) for _ in range(2)]

    assert len(asyncio.run(submit())) == 2
    intake.stop()
    db.close()
