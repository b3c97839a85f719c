"""The keeper and its housekeeping on a real database: backlogs go, and hold up nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore
from typing import Any

import pytest
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.waker import Waker
from jobcore.keeper.housekeeping import Housekeeping
from jobcore.keeper.keeper import AT_ONCE_S, Keeper
from jobcore.settings import CoreSettings
from jobcore.states import Status
from jobcore.store import concurrency_limits, jobs, key_locks, limits, queues
from jobcore.store.concurrency_limits import ConcurrencyLimit
from longrun_local.ports import free_port
from tests.integration.store.world import World
from tests.waiting import until

CROWD = 6000
KEYS = 4000


@pytest.fixture
def settings(database_url: str, redis_url: str) -> CoreSettings:
    return CoreSettings(DATABASE_URL=database_url, REDIS_URL=redis_url)


def due(world: World, count: int, **fields: object) -> None:
    for first in range(0, count, 500):
        world.insert_many(min(500, count - first), delay_s=60, **fields)
    world.sql("UPDATE jobs SET run_at = now() WHERE NOT ready RETURNING id")


def test_an_urgent_job_is_ready_in_the_same_check_beside_thousands_due_in_a_paused_queue(
    world: World, settings: CoreSettings
) -> None:
    world.call(queues.change, "crowd", paused=True, set_max=False, max_running=None)
    due(world, CROWD, queue="crowd")
    urgent = world.insert(queue="zoo", delay_s=60, priority=9)
    world.edit(urgent, "run_at = now()")
    assert world.promote()
    assert world.row(urgent)["ready"], "the first batch has a share of every queue"
    keeper = Keeper(settings, Waker(settings), EventPublisher(settings.redis))
    left = "SELECT count(*) AS jobs FROM jobs WHERE NOT ready"
    while world.sql(left)[0]["jobs"]:
        keeper.check()
        assert not world.sql(left)[0]["jobs"] or keeper.pause_s == AT_ONCE_S, "the next look comes without a pause"


def test_a_job_of_a_key_that_became_due_passes_its_gate_however_many_keys_are_full(
    world: World, settings: CoreSettings
) -> None:
    full = [world.new(queue="crowd", concurrency_key=f"full-{n}") for n in range(KEYS) for _ in range(2)]
    for first in range(0, len(full), 500):
        world.call(jobs.insert, full[first : first + 500])
    keeper = Keeper(settings, Waker(settings), EventPublisher(settings.redis))
    with locked_keys() as counts:
        until_settled(world, keeper)
        urgent = world.insert(queue="zoo", delay_s=60, priority=9, concurrency_key="zoo")
        world.edit(urgent, "run_at = now()")
        keeper.check()
    assert world.row(urgent)["ready"]
    assert 0 < max(counts) <= key_locks.MAX_KEYS, "each lock is one of few that all of PostgreSQL shares"


def until_settled(world: World, keeper: Keeper) -> None:
    """Look until one job of each key is past its gate."""
    for _ in range(20):
        keeper.check()
        [row] = world.sql("SELECT count(*) AS jobs FROM jobs WHERE ready")
        if row["jobs"] == KEYS:
            return
    raise AssertionError(f"only {row['jobs']} are ready after 20 looks")


def test_on_a_quiet_system_a_check_is_one_statement(world: World, settings: CoreSettings) -> None:
    world.worker()
    world.insert(delay_s=3600)
    world.finish(world.running())
    keeper = Keeper(settings, Waker(settings), EventPublisher(settings.redis))
    keeper.check()
    with statements() as sent:
        keeper.check()
    assert len(sent) == 1
    with statements() as sent:
        keeper.promote_due()
    assert len(sent) == 1
    world.insert()
    with statements() as sent:
        keeper.check()
    assert len(sent) > 1


def test_a_job_whose_time_has_come_is_ready_long_before_the_next_check(world: World, settings: CoreSettings) -> None:
    slow = settings.model_copy(update={"keeper_s": 600.0})
    keeper = Keeper(slow, Waker(slow), EventPublisher(slow.redis))
    keeper.check()
    job = world.insert(delay_s=0.5)
    keeper.start()
    try:
        until(lambda: world.row(job)["ready"])
    finally:
        keeper.stop()


def test_an_outage_is_said_once_however_many_looks_fail(
    settings: CoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = [], Keeper.check

    def counted(keeper: Keeper) -> None:
        looks.append(keeper)
        look(keeper)

    monkeypatch.setattr(Keeper, "check", counted)
    away = settings.model_copy(update={"database_url": f"postgresql://127.0.0.1:{free_port()}/x", "keeper_s": 0.5})
    keeper = Keeper(away, Waker(away), EventPublisher(away.redis))
    with capture_logs() as lines:
        keeper.start()
        try:
            until(lambda: len(looks) > 3)
        finally:
            keeper.stop()
    said = [line["event"] for line in lines if line["event"].startswith("keeper ")]
    assert said == ["keeper paused: the database is unavailable"]


@contextmanager
def statements() -> Iterator[list[str]]:
    """What this process sends to PostgreSQL meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        sent.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def locked_keys() -> Iterator[list[int]]:
    """How many keys each statement of this process locked meanwhile."""
    counts = [0]

    def count(_connection: object, _cursor: object, sql: str, parameters: Any, *_: object) -> None:
        if "'key:'" in sql:
            counts.append(len(parameters["names"]))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield counts
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def test_all_that_is_expired_or_old_goes_step_by_step_and_nothing_else(world: World, settings: CoreSettings) -> None:
    housekeeping = Housekeeping(settings, EventPublisher(settings.redis), lambda: True)
    expired = [job_id for _ in range(5) for job_id in world.insert_many(500)]
    world.sql("UPDATE jobs SET expires_at = now() RETURNING id")
    waiting = world.insert()
    world.insert_many(1500, queue="old")
    world.sql(
        "UPDATE jobs SET status = 'SUCCESS', ready = false, finished_at = now() - interval '40 days',"
        " id = CAST('01900000-0000-7000-8000-' || right(CAST(id AS text), 12) AS uuid)"
        " WHERE queue = 'old' RETURNING id"
    )
    steps = 0
    while housekeeping.check():
        steps += 1
    assert steps >= 2, "one step takes a batch of each"
    counts = {row["status"]: row["jobs"] for row in world.sql("SELECT status, count(*) AS jobs FROM jobs GROUP BY 1")}
    assert counts == {"FAILED": len(expired), "PENDING": 1}
    assert world.status(waiting) is Status.PENDING


def test_a_step_that_fails_holds_up_no_other(world: World, settings: CoreSettings) -> None:
    expired = world.insert()
    world.edit(expired, "expires_at = now()")
    world.sql("INSERT INTO fair_turns SELECT 'q', n, now(), now() - interval '1 day' FROM generate_series(1, 9) AS n"
              " RETURNING key")  # fmt: skip
    world.sql("ALTER TABLE job_steps RENAME TO gone; SELECT 1 AS one")
    try:
        housekeeping = Housekeeping(settings, EventPublisher(settings.redis), lambda: True)
        housekeeping.check()
    finally:
        world.sql("ALTER TABLE gone RENAME TO job_steps; SELECT 1 AS one")
    assert world.status(expired) is Status.FAILED
    assert world.sql("SELECT key FROM fair_turns") == []


def test_turns_that_are_over_are_forgotten_without_a_pause_until_none_is_left(
    world: World, settings: CoreSettings
) -> None:
    world.sql("INSERT INTO fair_turns SELECT 'q', n, now(), now() - interval '1 day' FROM generate_series(1, 9000) AS n"
              " RETURNING key")  # fmt: skip
    housekeeping = Housekeeping(settings, EventPublisher(settings.redis), lambda: True)
    while housekeeping.check():
        pass
    assert world.sql("SELECT key FROM fair_turns") == []


def test_a_limit_that_no_task_used_for_as_long_as_ended_tasks_are_kept_is_forgotten(
    world: World, settings: CoreSettings
) -> None:
    for key, places in (("unused", 5), ("recent", 5), ("waits", 5), ("runs", 5), ("passes", 5), ("closed", 0)):
        world.call(concurrency_limits.put, ConcurrencyLimit(key, places))
    age_s = settings.retention_days * 86_400
    old = "UPDATE key_limits SET used_at = now() - make_interval(secs => :age_s + 60) WHERE key <> 'recent' RETURNING 1"
    world.insert(concurrency_key="runs", queue="runs")
    world.call(limits.unblock, ["runs"])
    world.sql(old, age_s=age_s)
    world.insert(concurrency_key="waits")
    world.insert(concurrency_key="passes")
    world.call(limits.unblock, ["passes"])
    world.sql("DELETE FROM jobs WHERE concurrency_key = 'passes' RETURNING id")
    housekeeping = Housekeeping(settings, EventPublisher(settings.redis), lambda: True)
    while housekeeping.check():
        pass
    assert [limit.key for limit in world.call(concurrency_limits.page)] == [
        "closed",
        "passes",
        "recent",
        "runs",
        "waits",
    ]


def test_a_process_that_does_not_lead_tidies_nothing(world: World, settings: CoreSettings) -> None:
    job_id = world.insert()
    world.edit(job_id, "expires_at = now()")
    asked = Semaphore(0)

    def lead() -> bool:
        asked.release()
        return False

    housekeeping = Housekeeping(settings, EventPublisher(settings.redis), lead)
    housekeeping.start()
    for _ in range(2):
        assert asked.acquire(timeout=10)
    housekeeping.stop()
    assert world.status(job_id) is Status.PENDING
