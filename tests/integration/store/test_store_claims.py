"""Claims: who gets which job, in what order, and who gets none."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.models import Claim
from jobcore.states import Status
from jobcore.store import claims, workers
from tests.integration.store.world import LEASE_S, QUEUE, TYPES, World, race

ROUNDS = 60
CLAIMERS = 6


def ids(taken: list[Claim]) -> list[UUID]:
    return [claim.id for claim in taken]


def test_each_job_is_claimed_by_exactly_one_of_many_concurrent_claimers(world: World) -> None:
    fleet = [world.worker() for _ in range(CLAIMERS)]
    for number in range(ROUNDS):
        queue = f"round-{number}"
        waiting = world.insert_many(3, queue=queue)
        taken = race(*[partial(world.take, worker, queue=queue) for worker in fleet])
        claimed = [claim for one in taken for claim in one]
        assert sorted(ids(claimed)) == waiting
        for worker, mine in zip(fleet, taken, strict=True):
            for claim in mine:
                assert (claim.fence, claim.attempt) == (1, 1)
                assert world.row(claim.id)["worker_id"] == worker


def test_concurrent_batches_never_share_a_job(world: World) -> None:
    waiting = world.insert_many(400)
    fleet = [world.worker() for _ in range(CLAIMERS)]

    def drain(worker: UUID) -> list[UUID]:
        mine: list[UUID] = []
        while taken := world.take(worker, 16, quick=["echo"]):
            mine += ids(taken)
        return mine

    claimed = [job_id for mine in race(*[partial(drain, worker) for worker in fleet]) for job_id in mine]
    assert sorted(claimed) == sorted(waiting)


def test_first_come_is_first_served(world: World) -> None:
    waiting = [world.insert() for _ in range(5)]
    worker = world.worker()
    assert [ids(world.take(worker)) for _ in range(5)] == [[job_id] for job_id in waiting]


def test_a_higher_priority_is_claimed_first(world: World) -> None:
    by_priority = {priority: world.insert(priority=priority) for priority in (0, 9, 1, 5)}
    worker = world.worker()
    claimed = [claim.id for _ in range(4) for claim in world.take(worker)]
    assert claimed == [by_priority[priority] for priority in (9, 5, 1, 0)]


@pytest.mark.parametrize(("head_start_s", "older_first"), [(119, False), (121, True)])
def test_a_priority_level_is_worth_a_minute_so_that_nothing_starves(
    world: World, head_start_s: int, older_first: bool
) -> None:
    older = world.insert(priority=1)
    urgent = world.insert(priority=3)
    world.edit(older, "rank = rank - make_interval(secs => :s)", s=head_start_s)
    assert ids(world.take(world.worker())) == [older if older_first else urgent]


@pytest.mark.parametrize("state", ["draining", "dead", "gone"])
def test_a_worker_that_is_not_active_claims_nothing(world: World, state: str) -> None:
    job_id = world.insert()
    assert world.take(world.worker(state=state)) == []
    assert world.status(job_id) is Status.PENDING


def test_a_worker_whose_heartbeat_is_older_than_the_lease_claims_nothing(world: World) -> None:
    job_id = world.insert()
    worker = world.worker()
    world.sql(
        "UPDATE workers SET heartbeat_at = now() - make_interval(secs => :s) RETURNING id",
        s=LEASE_S + 1,
    )
    assert world.take(worker) == []
    world.call(workers.beat, worker, draining=False)
    assert ids(world.take(worker)) == [job_id]


def test_an_unknown_worker_claims_nothing(world: World) -> None:
    world.insert()
    assert world.take(uuid7()) == []


def test_only_ready_jobs_of_the_queue_asked_for_are_claimed(world: World) -> None:
    world.insert(queue="elsewhere")
    world.insert(delay_s=60)
    assert world.take(world.worker()) == []


def test_a_job_that_expired_before_its_first_start_is_not_claimed(world: World) -> None:
    job_id = world.insert()
    world.edit(job_id, "expires_at = now() - interval '1 s'")
    assert world.take(world.worker()) == []


def test_a_job_that_started_in_time_is_claimed_again_after_it_was_handed_back(world: World) -> None:
    claim = world.running()
    world.edit(claim.id, "expires_at = now() - interval '1 s'")
    world.release(claim, "handed_back")
    assert ids(world.take(world.worker())) == [claim.id]


def test_a_claim_takes_one_job_unless_its_task_type_is_quick(world: World) -> None:
    first, *_ = world.insert_many(5)
    assert ids(world.take(world.worker(), 5)) == [first]


def test_a_batch_ends_before_the_first_job_that_is_not_quick(world: World) -> None:
    waiting = [world.insert(task_type=name) for name in ("echo", "echo", "sleep", "echo")]
    worker = world.worker()
    assert ids(world.take(worker, 10, quick=["echo"])) == waiting[:2]
    assert ids(world.take(worker, 10, quick=["echo"])) == [waiting[2]]
    assert ids(world.take(worker, 10, quick=["echo"])) == [waiting[3]]


def test_a_batch_is_no_larger_than_asked_for(world: World) -> None:
    waiting = world.insert_many(5)
    assert ids(world.take(world.worker(), 3, quick=["echo"])) == waiting[:3]


@pytest.mark.parametrize("scar", ["crashes", "losses"])
def test_a_job_that_lost_its_process_before_is_only_ever_claimed_alone(world: World, scar: str) -> None:
    waiting = [world.insert() for _ in range(4)]
    world.edit(waiting[1], f"{scar} = 1, attempt = 1")
    worker = world.worker()
    batches = [ids(world.take(worker, 10, quick=["echo"])) for _ in range(3)]
    assert batches == [waiting[:1], waiting[1:2], waiting[2:]]


def test_a_claim_tells_whether_more_is_ready(world: World) -> None:
    worker = world.worker()
    world.insert_many(2)

    def take() -> claims.Taken:
        return world.call(
            claims.claim, queue=QUEUE, worker_id=worker, slot=0, limit=1, quick=[], types=TYPES, lease_s=LEASE_S
        )

    assert [take().more, take().more] == [True, False]
    assert take() == claims.Taken([], False)


def test_a_claim_carries_what_a_run_needs_and_is_told_by_an_event(world: World) -> None:
    worker = world.worker()
    fields: dict[str, Any] = {"input": {"x": [1, "é"]}, "max_attempts": 7, "timeout_s": 2.5, "traceparent": "00-a-b-01"}
    job_id = world.insert(**fields)
    world.edit(job_id, "attempt = 4, crashes = 1, losses = 2, fence = 9, checkpoint = '{\"at\": 3}'")
    [claim] = world.take(worker, slot=3)
    row = world.row(job_id)
    assert claim == Claim(
        id=job_id,
        fence=10,
        task_type="echo",
        queue=QUEUE,
        input='{"x": [1, "é"]}',
        attempt=5,
        tries=2,
        max_attempts=7,
        timeout_s=2.5,
        checkpoint={"at": 3},
        traceparent="00-a-b-01",
        seq=2,
        claimed_at=row["started_at"],
    )
    assert (row["status"], row["worker_id"], row["slot"], row["ready"]) == (Status.RUNNING, worker, 3, False)
    last = world.events(job_id)[-1]
    assert (last.seq, last.attempt, last.data) == (2, 5, {"status": "RUNNING", "worker_id": str(worker)})
