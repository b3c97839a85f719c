"""Why a job does not run: one cause, the first thing that must change, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.models import Cause, Method, Why
from jobcore.states import Status
from jobcore.store import concurrency_limits, limits, queues, rate_limits, situations, start_permits, why, workers
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.rate_limits import RateLimit
from jobcore.store.suspects import places
from jobcore.store.transactions import transaction
from jobcore.worker.room import Room
from tests.integration.store.world import QUEUE, World

KEY = "tenant {7}"
RATE_KEY = "api {example}"


def explain(world: World, job_id: UUID) -> Why:
    found = world.call(why.explain, job_id)
    assert found is not None
    return found


def pause(world: World, *, paused: bool = True) -> None:
    world.call(queues.change, QUEUE, paused=paused, set_max=False, max_running=None)


def test_an_unknown_job_has_no_cause(world: World) -> None:
    assert world.call(why.explain, uuid7()) is None


def test_what_blocks_a_job_is_named_one_after_the_other_until_it_runs(world: World) -> None:
    """Everything is in its way at once; each cause is named until it is gone, and then the next one."""
    holder_id = world.insert(concurrency_key=KEY)
    world.call(limits.unblock, [KEY])
    [holder] = world.take(world.worker())
    assert holder.id == holder_id
    world.sql("UPDATE workers SET state = 'gone' RETURNING id")
    world.limit_queue(1)
    pause(world)
    job_id = world.insert(concurrency_key=KEY, delay_s=60)

    seen: list[Cause] = []

    def next_cause() -> Why:
        found = explain(world, job_id)
        seen.append(found.cause)
        return found

    assert "no active worker" in next_cause().detail
    world.edit(job_id, "run_at = now()")
    world.promote()
    assert "LONGRUN_QUEUES" in (next_cause().freed_by or "")
    world.worker(types=["other"])
    assert "echo" in next_cause().detail
    worker = world.worker()
    assert (next_cause().position) == 1
    pause(world, paused=False)
    blocked = next_cause()
    assert (blocked.blocking, blocked.position) == ((holder.id,), 1)
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, 2))
    world.call(limits.unblock, [KEY])
    blocked = next_cause()
    assert (blocked.blocking, blocked.position) == ((holder.id,), 1)
    world.limit_queue(2)
    assert next_cause().position == 1
    [claim] = world.take(worker)
    assert str(worker) in next_cause().detail
    world.cancel(job_id)
    assert next_cause().since == world.row(job_id)["cancel_requested_at"]
    world.edit(job_id, "cancel_stopped_at = now()")
    next_cause()
    assert claim.id == job_id
    assert seen == [
        Cause.RUN_AT, Cause.QUEUE_NOT_SERVED, Cause.TASK_TYPE_UNKNOWN, Cause.QUEUE_PAUSED, Cause.CONCURRENCY_LIMIT,
        Cause.QUEUE_LIMIT, Cause.TURN, Cause.RUNNING, Cause.STOPPING, Cause.ENDED,
    ]  # fmt: skip
    assert set(Cause) - set(seen) == {
        Cause.RETRY, Cause.EXPIRED, Cause.RATE_LIMIT, Cause.QUEUE_RATE_LIMIT, Cause.SUSPECTED,
    }, "which have tests of their own"  # fmt: skip


def test_a_job_that_failed_waits_for_its_retry_since_it_failed(world: World) -> None:
    world.worker()
    claim = world.running()
    world.finish(claim, Status.PENDING, error={"kind": "raised", "type": "E", "message": "m"}, retry_s=60.0)
    found = explain(world, claim.id)
    assert (found.cause, found.since) == (Cause.RETRY, world.events(claim.id)[-1].at)
    assert found.estimate is not None
    assert (found.estimate.at, found.estimate.method) == (world.row(claim.id)["run_at"], Method.RUN_AT)


def test_a_job_that_may_not_start_any_more_says_so(world: World) -> None:
    world.worker()
    job_id = world.insert()
    world.edit(job_id, "expires_at = now() - interval '1 s'")
    assert explain(world, job_id).cause is Cause.EXPIRED


def test_a_job_that_is_due_but_not_promoted_waits_for_its_turn(world: World) -> None:
    world.worker()
    world.insert()
    job_id = world.insert(delay_s=60)
    world.edit(job_id, "run_at = now()")
    found = explain(world, job_id)
    assert (found.cause, found.position) == (Cause.TURN, 2)


def paused(world: World, job_id: UUID) -> datetime:
    pause(world)
    del job_id
    at: datetime = world.sql("SELECT paused_at FROM queues")[0]["paused_at"]
    pause(world)
    return at


def without_worker(world: World, job_id: UUID) -> datetime:
    at: datetime = world.sql("UPDATE workers SET state = 'gone', heartbeat_at = now() RETURNING heartbeat_at")[0][
        "heartbeat_at"
    ]
    del job_id
    return at


def unknown(world: World, job_id: UUID) -> datetime:
    at = without_worker(world, job_id)
    world.worker(types=["other"])
    return at


@pytest.mark.parametrize("happen", [paused, without_worker, unknown])
def test_a_cause_that_came_after_the_job_dates_from_then(
    world: World, happen: Callable[[World, UUID], datetime]
) -> None:
    world.worker()
    job_id = world.insert()
    at = happen(world, job_id)
    assert explain(world, job_id).since == at


@pytest.mark.parametrize("cause", [Cause.QUEUE_PAUSED, Cause.QUEUE_NOT_SERVED])
def test_a_cause_that_was_there_before_the_job_dates_from_the_job(world: World, cause: Cause) -> None:
    worker = world.worker()
    if cause is Cause.QUEUE_PAUSED:
        pause(world)
    else:
        world.call(workers.leave, worker)
    job_id = world.insert()
    found = explain(world, job_id)
    assert (found.cause, found.since) == (cause, world.row(job_id)["created_at"])


def test_a_resumed_queue_that_is_paused_again_is_paused_since_then(world: World) -> None:
    world.worker()
    job_id = world.insert()
    first = paused(world, job_id)
    pause(world, paused=False)
    assert world.sql("SELECT paused_at FROM queues")[0]["paused_at"] is None
    assert paused(world, job_id) > first


def test_the_position_counts_what_is_claimed_before(world: World) -> None:
    world.worker()
    world.insert_many(3)
    world.insert_many(4, task_type="known to no worker")
    world.insert_many(2, queue="other")
    job_id = world.insert()
    later = world.insert()
    world.insert(priority=5)
    assert [explain(world, each).position for each in (job_id, later)] == [5, 6]
    world.worker(types=None)
    assert explain(world, job_id).position == 9, "a worker of 0.1 runs any type"


def test_a_position_is_counted_up_to_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(situations, "COUNT_MAX", 5)
    world.worker()
    jobs = world.insert_many(8)
    assert [explain(world, job_id).position for job_id in jobs] == [1, 2, 3, 4, 5, 6, 6, 6]


def test_the_jobs_of_a_limit_are_named_up_to_a_bound(world: World) -> None:
    most = situations.BLOCKING_MAX
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, most + 5))
    world.worker()
    held = world.insert_many(most + 5, concurrency_key=KEY)
    world.call(limits.unblock, [KEY])
    job_id = world.insert(concurrency_key=KEY)
    assert explain(world, job_id).blocking == tuple(held[:most])


def test_the_start_is_estimated_from_run_times_until_the_pace_is_known(world: World) -> None:
    worker = world.worker(concurrency=4)
    for _ in range(3):
        claim = world.running(worker)
        world.finish(claim)
        world.edit(claim.id, "started_at = finished_at - interval '10 s'")
    world.insert_many(7)
    job_id = world.insert()
    by_runs = explain(world, job_id).estimate
    assert by_runs is not None
    assert by_runs.method is Method.RUN_TIMES
    left = (by_runs.at - datetime.now(UTC)).total_seconds()
    assert left == pytest.approx(8 * 10 / 4, abs=2), by_runs.detail
    world.edit(job_id, "rank = rank - interval '100 s'")  # it has been ready for so long, and three ended since
    world.sql("UPDATE jobs SET rank = rank - interval '200 s' WHERE id <> :id RETURNING id", id=job_id)
    by_pace = explain(world, job_id).estimate
    assert by_pace is not None
    assert by_pace.method is Method.THROUGHPUT
    assert by_pace.at > datetime.now(UTC) - timedelta(seconds=1)


def test_nothing_is_estimated_from_nothing(world: World) -> None:
    world.worker()
    job_id = world.insert()
    assert explain(world, job_id).estimate is None


def test_it_only_reads(world: World) -> None:
    job_id = world.insert()

    def write_inside(connection: object) -> None:
        with transaction(connection):  # type: ignore[arg-type]
            situations.find(connection, job_id)  # type: ignore[arg-type]
            workers.forget(connection)  # type: ignore[arg-type]

    with pytest.raises(Exception, match="read-only"):
        world.call(write_inside)
    world.insert()


@pytest.mark.parametrize(
    ("limit", "taken", "expected"),
    [(1, 1, "one of `blocking` ends, or the limit"), (0, 0, "the limit is raised"), (2, 1, "there is a free permit")],
)
def test_what_frees_a_job_of_a_key_follows_from_its_limit(world: World, limit: int, taken: int, expected: str) -> None:
    world.worker()
    held = world.insert_many(taken, concurrency_key=KEY)
    world.call(limits.unblock, [KEY])
    job_id = world.insert(concurrency_key=KEY)
    world.call(concurrency_limits.put, ConcurrencyLimit(KEY, limit))
    found = explain(world, job_id)
    assert (found.cause, list(found.blocking)) == (Cause.CONCURRENCY_LIMIT, held)
    assert (found.freed_by or "").startswith(expected)
    assert KEY in found.detail


def test_a_rate_limit_of_a_key_says_when_the_next_start_is_allowed(world: World) -> None:
    world.worker()
    world.call(rate_limits.put, RateLimit(RATE_KEY, 2, 60))
    ids = world.insert_many(5, rate_key=RATE_KEY)
    world.call(start_permits.unblock, [RATE_KEY])
    world.take(world.worker())
    found = explain(world, ids[3])
    assert found.cause is Cause.RATE_LIMIT
    assert "lets 2 tasks start within 60 s, and 2 permits are taken; no start before " in found.detail
    assert found.position == 2
    assert found.estimate is not None
    assert found.estimate.method is Method.RATE
    [row] = world.sql("SELECT min(at) AS first FROM starts")
    ahead_s = (found.estimate.at - row["first"]).total_seconds()
    assert ahead_s == pytest.approx(60 + 30, abs=0.1)


def test_a_rate_limit_of_a_queue_says_when_the_next_start_is_allowed(world: World) -> None:
    worker = world.worker()
    ids = world.insert_many(3)
    world.limit_rate(1, 60)
    assert explain(world, ids[0]).cause is Cause.TURN
    world.take(worker)
    found = explain(world, ids[2])
    assert found.cause is Cause.QUEUE_RATE_LIMIT
    assert found.position == 2
    assert "lets 1 tasks start within 60 s, and 1 did; no start before " in found.detail
    assert found.estimate is not None
    [row] = world.sql("SELECT at FROM starts")
    assert (found.estimate.at - row["at"]).total_seconds() == pytest.approx(120, abs=0.1)


def test_a_job_whose_rate_key_lost_its_limit_is_about_to_be_ready(world: World) -> None:
    world.worker()
    job_id = world.insert(rate_key=RATE_KEY)
    found = explain(world, job_id)
    assert (found.cause, found.detail) == (
        Cause.RATE_LIMIT,
        f"its rate_key {RATE_KEY!r} blocked it, and has no limit now",
    )


@pytest.mark.parametrize("suspected", [1, 2, 3, 200])
@pytest.mark.parametrize("taken", [1, 2, 3, 9, 10, 40])
def test_a_suspected_job_waits_for_a_child_with_as_few_runs_as_it_may_run_beside(
    world: World, suspected: int, taken: int
) -> None:
    """What `why` says is what the child's room says, which decides what it claims."""
    worker = world.worker(types=["ask"], lanes=["thread"], concurrency=1, jobs_per_child=40)
    busy(world, worker, taken)
    job_id = suspect(world, suspected)
    room = Room(40)
    room.take(taken)
    if room.suspected >= suspected:
        assert explain(world, job_id).cause is Cause.TURN
    else:
        found = explain(world, job_id)
        assert (found.cause, found.position, found.estimate) == (Cause.SUSPECTED, None, None)
        assert f"fewer than {places(40, suspected)} jobs" in (found.freed_by or "")
        world.worker(types=["ask"], lanes=["thread"], concurrency=1)
        assert explain(world, job_id).cause is Cause.TURN, "a fresh child takes it"


def test_a_suspected_job_does_not_count_on_a_child_that_runs_a_process_job_or_one_suspected_more_often(
    world: World,
) -> None:
    worker = world.worker(types=["ask", "crunch"], lanes=["thread", "process"], concurrency=2, jobs_per_child=40)
    suspect(world, 3)
    world.take(worker, types=["ask"])
    world.insert(task_type="crunch")
    world.take(worker, types=["crunch"], slot=1)
    assert explain(world, suspect(world, 1)).cause is Cause.SUSPECTED


def busy(world: World, worker: UUID, runs: int) -> None:
    """Have the first child of a worker run so many jobs in threads."""
    world.insert_many(runs, task_type="ask")
    assert len(world.take(worker, runs, types=["ask"], quick=["ask"])) == runs


def suspect(world: World, suspected: int) -> UUID:
    """A ready job that was suspected so often."""
    job_id = world.insert(task_type="ask")
    world.edit(job_id, "suspected = :suspected", suspected=suspected)
    return job_id
