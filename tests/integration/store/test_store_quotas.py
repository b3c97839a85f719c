"""Quotas of owners in PostgreSQL: what they use is counted as it is, and no race exceeds them.

Every test of the store ends with a look at the counts (see conftest).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg2
import pytest
from uuid_utils.compat import uuid7

from jobcore.errors import BytesExceeded, NamesExceeded, QuotaExceeded
from jobcore.models import Accepted, BulkAction, IdempotencyKey, NewFile
from jobcore.states import Status
from jobcore.store import (
    bulk,
    concurrency_limits,
    files,
    firings,
    idempotency,
    input_files,
    jobs,
    quotas,
    rate_limits,
    task_types,
)
from jobcore.store.concurrency_limits import ConcurrencyLimit
from jobcore.store.quotas import Quota
from jobcore.store.rate_limits import RateLimit
from jobcore.tasks import load_tasks
from tests.integration.desk import Desk
from tests.integration.store.test_store_schedules import JOB, firing, jobs_of, keep, read, scheduler
from tests.integration.store.world import World, race

ROUNDS = 40


def queued(world: World, owner: str = "ada") -> int:
    return world.call(quotas.find, owner).queued


def allow(world: World, most: int | None, owner: str = "ada") -> None:
    world.call(quotas.put, Quota(owner, {"queued": most}))


def is_accepted(world: World, count: int = 1, **fields: object) -> bool:
    try:
        world.insert_many(count, owner="ada", **fields)
    except QuotaExceeded:
        return False
    return True


def test_every_way_into_the_queue_and_out_of_it_is_counted(world: World) -> None:
    one, other, *_ = world.insert_many(5, owner="ada")
    world.insert_many(2)
    claim, *_ = world.take(world.worker(), 1)
    assert queued(world) == 4
    world.release(claim, "handed_back")
    assert queued(world) == 5
    world.cancel(one)
    assert queued(world) == 4
    assert world.call(quotas.fold) is False
    assert queued(world) == 4
    world.retry(one)
    assert queued(world) == 5
    world.sql("DELETE FROM jobs WHERE id = :id RETURNING id", id=other)
    assert queued(world) == 4
    assert queued(world, "grace") == 0


def test_a_statement_counts_all_jobs_of_an_owner_at_once(world: World) -> None:
    world.call(jobs.insert, [world.new(owner=("ada", "grace", None)[number % 3]) for number in range(12)])
    assert world.sql("SELECT owner, queued FROM owner_use_changes ORDER BY owner") == [
        {"owner": "ada", "queued": 4},
        {"owner": "grace", "queued": 4},
    ]


def test_changes_are_added_up_once_however_many_do_it(world: World) -> None:
    for _ in range(ROUNDS):
        fold = partial(world.call, quotas.fold)
        race(fold, partial(world.insert_many, 3, owner="ada"), fold)
    while world.call(quotas.fold):
        pass
    assert world.sql("SELECT * FROM owner_use_changes") == []
    assert queued(world) == 3 * ROUNDS


def test_a_race_of_submissions_accepts_exactly_the_quota(world: World) -> None:
    for number in range(ROUNDS):
        free = number % 5 + 1
        allow(world, queued(world) + free)
        accepted = race(*[partial(is_accepted, world)] * 8)
        assert sum(accepted) == free


def test_what_does_not_fit_is_not_stored_in_part(world: World) -> None:
    allow(world, 5)
    assert is_accepted(world, 3)
    assert not is_accepted(world, 3)
    assert queued(world) == 3
    assert is_accepted(world, 2)


def test_the_quota_of_the_settings_holds_for_owners_without_their_own(world: World) -> None:
    world.call(quotas.publish, {"queued": 2})
    assert is_accepted(world, 2)
    assert not is_accepted(world)
    allow(world, None)
    assert is_accepted(world, 5)
    world.call(quotas.put, Quota("ada", {"submissions": 1}))
    assert not is_accepted(world)
    world.insert_many(9)  # the operator's


def test_an_intake_refuses_the_last_ones_of_this_owner_alone(world: World, desk: Desk) -> None:
    allow(world, 3)
    given = [world.new(owner=("ada", "grace", None)[number % 3]) for number in range(30)]
    answers = desk.submit(given)
    accepted = [job.owner for job, answer in zip(given, answers, strict=True) if isinstance(answer, Accepted)]
    assert [accepted.count(owner) for owner in ("ada", "grace", None)] == [3, 10, 10]
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    assert {type(answer) for answer in refused} == {QuotaExceeded}
    assert queued(world) == 3


def test_batches_of_many_owners_in_any_order_wait_for_each_other_and_never_fail(world: World) -> None:
    owners = ["ada", "bob", "eve"]
    for owner in owners:
        allow(world, 10_000, owner)

    def submit(order: list[str]) -> None:
        given = [(world.new(owner=owner), None) for owner in order]
        world.call(idempotency.accept_once, given)

    for _ in range(ROUNDS):
        race(*(partial(submit, order) for order in (owners, owners[::-1], owners[1:] + owners[:1])))
    assert [queued(world, owner) for owner in owners] == [3 * ROUNDS] * 3


def test_a_retry_needs_a_place_in_the_queue(world: World) -> None:
    failed = world.insert_many(3, owner="ada")
    for job_id in failed:
        world.cancel(job_id)
    allow(world, 1)
    assert world.retry(failed[0]) is not None
    with pytest.raises(QuotaExceeded):
        world.retry(failed[1])
    with pytest.raises(QuotaExceeded):
        world.call(bulk.change, BulkAction.RETRY, failed[1:])
    assert [world.status(job_id) for job_id in failed] == [Status.PENDING, Status.CANCELLED, Status.CANCELLED]


def test_a_run_that_goes_back_to_the_queue_is_never_refused(world: World) -> None:
    world.insert(owner="ada")
    [claim] = world.take(world.worker(), 1)
    allow(world, 1)
    assert is_accepted(world)
    world.release(claim, "crash")
    assert queued(world) == 2


def test_a_schedule_that_is_refused_says_why_and_fires_once_there_is_a_place(world: World) -> None:
    mine = keep(world, name="ada\x1fnightly", job={**JOB, "owner": "ada"})
    others = keep(world)
    allow(world, 1)
    waiting = world.insert(owner="ada")
    scheduler(world).check()
    assert jobs_of(world, mine) == []
    assert "QuotaExceeded: 2 of 1 tasks would be PENDING" in str(read(world, mine).error)
    assert len(jobs_of(world, others)) == 1
    world.cancel(waiting)
    world.call(firings.fire, [firing(world, mine)])
    assert len(jobs_of(world, mine)) == 1
    assert read(world, mine).error is None


def test_a_transaction_of_an_application_is_checked_at_its_commit_and_holds_up_nobody(
    world: World, database_url: str
) -> None:
    world.call(task_types.publish, load_tasks().all())
    submit = """SELECT longrun.submit('{"task_type": "echo", "input": {}, "owner": "ada"}')"""
    allow(world, 2)
    with psycopg2.connect(database_url) as one, psycopg2.connect(database_url) as other:
        for connection in (one, other):
            connection.cursor().execute(submit)
        assert is_accepted(world)  # although two transactions are open
        one.commit()
        with pytest.raises(psycopg2.Error) as raised:
            other.commit()
        assert raised.value.pgcode == "LR429"
        with pytest.raises(psycopg2.Error) as raised:
            one.cursor().execute(submit)  # the quota is used up already
        assert raised.value.pgcode == "LR429"
        one.rollback()
    assert queued(world) == 2


def stored(world: World, owner: str = "ada") -> int:
    return world.call(quotas.find, owner).stored_bytes


def test_bytes_of_inputs_results_and_files_are_counted_until_they_are_deleted(world: World) -> None:
    upload = uuid7()
    world.call(input_files.begin, upload, "ada", "text/plain", 60)
    world.call(input_files.finish, upload, size=1000, sha256="0" * 64, keep_s=60)
    claim = world.running(owner="ada", input={"a": 1})  # {"a": 1}
    assert stored(world) == 1000 + 8
    file = NewFile(uuid7(), "report", "text/plain")
    world.call(files.begin, claim.id, claim.fence, file, 9)
    world.call(files.finish, claim.id, claim.fence, file, size=500, sha256="0" * 64)
    world.finish(claim, result={"b": 22})  # {"b": 22}
    assert stored(world) == 1000 + 8 + 500 + 9
    while world.call(quotas.fold):
        pass
    world.call(input_files.forget, [upload])
    world.sql("DELETE FROM jobs WHERE id = :id RETURNING id", id=claim.id)
    assert stored(world) == 500  # its bytes are there until the keeper has deleted them
    world.call(files.forget, [file.id])
    assert (stored(world), stored(world, "grace")) == (0, 0)


def test_from_its_quota_of_bytes_on_an_owner_adds_nothing_and_its_runs_still_end(world: World) -> None:
    claim = world.running(owner="ada")
    world.call(quotas.put, Quota("ada", {"stored_bytes": 100}))
    item: dict[str, Any] = {"input": {"text": "x" * 40}}
    race(*[partial(is_accepted, world, **item)] * 8)
    while is_accepted(world, **item):
        pass
    assert stored(world) >= 100
    with pytest.raises(BytesExceeded):
        world.call(input_files.begin, uuid7(), "ada", "text/plain", 60)
    before = stored(world)
    assert world.finish(claim, result="y" * 200)
    assert stored(world) == before + 202
    world.insert_many(3, owner="grace", **item)
    world.sql("DELETE FROM jobs WHERE owner = 'ada' RETURNING id")
    assert is_accepted(world, **item)


def test_an_intake_refuses_all_of_an_owner_that_has_stored_too_much(world: World, desk: Desk) -> None:
    world.insert(owner="ada")
    world.call(quotas.put, Quota("ada", {"stored_bytes": 1}))
    answers = desk.submit([world.new(owner=("ada", "grace")[number % 2]) for number in range(6)])
    assert [type(answer) for answer in answers] == [BytesExceeded, Accepted] * 3


def test_deliveries_to_webhooks_take_no_place(world: World) -> None:
    allow(world, 1)
    hook = {"url": "https://example.com/", "host": "example.com:443", "events": ["task.cancelled"]}
    world.cancel(world.insert(owner="ada", webhook=hook))
    assert world.sql("SELECT count(*) AS n FROM jobs WHERE delivers IS NOT NULL")[0]["n"] == 1
    assert queued(world) == 0


def test_a_refused_submission_leaves_its_idempotency_key_free(world: World) -> None:
    allow(world, 1)
    waiting, key = world.insert(owner="ada"), IdempotencyKey("k", "00" * 32)
    given = [(world.new(owner="ada"), key)]
    with pytest.raises(QuotaExceeded):
        world.call(idempotency.accept_once, given)
    world.cancel(waiting)
    assert isinstance(world.call(idempotency.accept_once, given)[given[0][0].id], Accepted)


def test_a_race_of_names_keeps_exactly_as_many_as_the_owner_may(world: World) -> None:
    def add(number: int) -> bool:
        try:
            if number % 3 == 0:
                keep(world, name=f"ada\x1f{uuid7()}")
            elif number % 3 == 1:
                world.call(concurrency_limits.put, ConcurrencyLimit(f"ada\x1f{uuid7()}", 5))
            else:
                world.call(rate_limits.put, RateLimit(f"ada\x1f{uuid7()}", 1, 1.0))
        except NamesExceeded:
            return False
        return True

    for number in range(1, 12):
        world.call(quotas.put, Quota("ada", {"names": 3 * number}))
        assert sum(race(*(partial(add, kind) for kind in range(9)))) == 3
    assert world.call(quotas.find, "ada").names == 33
    assert keep(world).plan.name  # the operator's


def test_a_limit_that_is_there_can_be_changed_and_deleting_frees_its_place(world: World) -> None:
    world.call(quotas.put, Quota("ada", {"names": 1}))
    world.call(concurrency_limits.put, ConcurrencyLimit("ada\x1fone", 5))
    world.call(concurrency_limits.put, ConcurrencyLimit("ada\x1fone", 6))
    with pytest.raises(NamesExceeded):
        world.call(concurrency_limits.put, ConcurrencyLimit("ada\x1ftwo", 5))
    world.call(concurrency_limits.delete, "ada\x1fone")
    world.call(concurrency_limits.put, ConcurrencyLimit("ada\x1ftwo", 5))
