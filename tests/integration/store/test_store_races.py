"""Races between store functions over the same jobs: one of them wins, and the events say which."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import pairwise
from threading import Event as Flag
from uuid import UUID

from sqlalchemy import Connection

from jobcore.models import Claim, NewEvent, Outcome
from jobcore.states import Status
from jobcore.store import events, jobs
from jobcore.store.outcomes import finish
from jobcore.store.releases import Release, release
from tests.integration.appending import append_events
from tests.integration.store.world import ERROR, MAX_CRASHES, MAX_LOSSES, World, race

ROUNDS = 300


def run_all(world: World, count: int, **fields: object) -> list[Claim]:
    world.insert_many(count, **fields)
    return world.take(world.worker(), count, quick=["echo"])


def success(claim: Claim) -> list[Outcome]:
    return [Outcome(claim.id, claim.fence, Status.SUCCESS, result=1)]


def test_cancel_against_finish_ends_once_and_the_winner_is_told_so(world: World) -> None:
    winners: Counter[str] = Counter()
    for claim in run_all(world, ROUNDS):
        finished, cancelled = race(partial(world.finish, claim), partial(world.cancel, claim.id))
        assert bool(finished) is not bool(cancelled)
        assert world.check_ending(claim.id) == [Status.SUCCESS if finished else Status.CANCELLED]
        winners[world.status(claim.id)] += 1
    assert len(winners) == 2, "the race was never close"


def test_cancel_against_release_ends_as_cancelled(world: World) -> None:
    for claim in run_all(world, ROUNDS // 3):
        race(partial(world.release, claim, "crash"), partial(world.cancel, claim.id))
        world.cancel(claim.id)
        assert world.check_ending(claim.id) == [Status.CANCELLED]


def test_cancel_against_claim_leaves_a_cancelled_job_with_a_true_receipt(world: World) -> None:
    worker = world.worker()
    for _ in range(ROUNDS // 3):
        job_id = world.insert()
        taken, _ = race(partial(world.take, worker), partial(world.cancel, job_id))
        assert world.check_ending(job_id) == [Status.CANCELLED]
        row = world.row(job_id)
        assert row["cancel_method"] == (None if taken else "queued")
        assert (row["cancel_stopped_at"] is None) is bool(taken)


def test_two_finishes_of_one_claim_store_one_outcome(world: World) -> None:
    for claim in run_all(world, ROUNDS // 3):
        stored = race(*[partial(world.call, finish, success(claim))] * 3)
        assert sorted(map(len, stored)) == [0, 0, 1]
        world.check_ending(claim.id)


def test_a_release_and_a_late_finish_never_both_count(world: World) -> None:
    for claim in run_all(world, ROUNDS // 3):
        released, finished = race(partial(world.release, claim, "loss"), partial(world.finish, claim))
        assert len(released) + len(finished) == 1
        assert world.status(claim.id) is (Status.SUCCESS if finished else Status.PENDING)
        world.check_events(claim.id)
        world.cancel(claim.id)


def test_writers_of_the_same_jobs_in_opposite_orders_never_fail_and_never_disagree(world: World) -> None:
    dice = random.Random(4)

    def cancel_all(order: list[Claim]) -> None:
        for claim in order:
            world.cancel(claim.id)

    for _ in range(20):
        batch = run_all(world, 24)
        orders = [dice.sample(batch, len(batch)) for _ in range(4)]
        race(
            partial(world.call, finish, [o for claim in orders[0] for o in success(claim)]),
            partial(world.call, finish, [Outcome(c.id, c.fence, Status.FAILED, error=ERROR) for c in orders[1]]),
            partial(world.release_many, [Release(c.id, c.fence, "timeout") for c in orders[2]]),
            partial(cancel_all, orders[3]),
        )
        for claim in batch:
            world.cancel(claim.id)
        world.check_ending(*[claim.id for claim in batch])


def test_batches_over_the_same_jobs_lock_them_in_one_order(world: World) -> None:
    """Without Database.call, which would try a deadlock again: the statements themselves have none."""

    def bare(function: object, *args: object, **kwargs: object) -> None:
        with world.db.engine.connect() as connection:
            function(connection, *args, **kwargs)  # type: ignore[operator]

    for _ in range(20):
        batch = run_all(world, 30)
        backwards = batch[::-1]
        race(
            partial(bare, finish, [o for claim in batch for o in success(claim)]),
            partial(bare, finish, [o for claim in backwards for o in success(claim)]),
            partial(
                bare,
                release,
                [Release(claim.id, claim.fence, "handed_back") for claim in backwards],
                max_crashes=MAX_CRASHES,
                max_losses=MAX_LOSSES,
            ),
        )
        for claim in batch:
            world.cancel(claim.id)
        world.check_ending(*[claim.id for claim in batch])


def test_a_reader_never_sees_a_gap_while_many_write_and_one_cancels(world: World) -> None:
    for claim in run_all(world, 12):
        done = Flag()

        def write(claim: Claim = claim) -> None:
            for number in range(15):
                new = [NewEvent("log", {"message": str(number)})] * (1 + number % 3)
                world.call(append_events, claim.id, claim.fence, new)

        def cancel(claim: Claim = claim, done: Flag = done) -> None:
            while world.row(claim.id)["last_seq"] < 20:
                pass
            world.cancel(claim.id)
            done.set()

        def follow(claim: Claim = claim, done: Flag = done) -> None:
            seen = 0
            while True:
                last = done.is_set()
                found = world.call(events.after, claim.id, seen)
                assert [event.seq for event in found] == list(range(seen + 1, seen + 1 + len(found)))
                seen += len(found)
                if last:
                    return

        race(write, write, cancel, follow)
        assert world.check_ending(claim.id) == [Status.CANCELLED]


def test_the_order_of_seq_is_the_order_of_commit(world: World) -> None:
    [claim] = run_all(world, 1)

    def stored(connection: Connection) -> tuple[int, int]:
        appended = append_events(connection, claim.id, claim.fence, [NewEvent("log", {})])
        assert appended is not None
        # whoever got its answer before another began has the lower seq
        return appended.last_seq or 0, world.call(events.after, claim.id, 0, limit=1000)[-1].seq or 0

    def write() -> list[tuple[int, int]]:
        return [world.db.call(stored) for _ in range(30)]

    pairs = [pair for mine in race(write, write, write) for pair in mine]
    assert len({own for own, _ in pairs}) == len(pairs)
    assert all(newest >= own for own, newest in pairs)
    for mine in race(write, write):
        assert all(before < after for (_, before), (after, _) in pairwise(mine))


def test_one_of_many_concurrent_cancels_is_told_that_it_cancelled(world: World) -> None:
    def cancel(job_id: UUID) -> bool:
        return world.call(jobs.cancel, job_id) is not None

    for job_id in world.insert_many(60):
        assert sum(race(*[partial(cancel, job_id)] * 4)) == 1
        assert world.check_ending(job_id) == [Status.CANCELLED]
