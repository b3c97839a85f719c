"""The thread that releases rate limits: when a start is allowed, it unblocks a job and wakes a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

import pytest
from sqlalchemy import Connection

from jobcore.errors import StoreUnavailable
from jobcore.keeper.rate_releases import RateReleases
from jobcore.settings import CoreSettings
from jobcore.store import queues, rate_limits, start_permits
from jobcore.store.rate_limits import RateLimit
from tests.integration.store.world import QUEUE, TYPES, World

KEY = "api.example.com"
WINDOW_S = 1.0
DEADLINE_S = 30


class Wakes:
    """The wake-ups that a thread asked for."""

    def __init__(self) -> None:
        self.queues: list[str] = []
        self._came = Semaphore(0)

    def __call__(self, queue: str, count: int) -> None:
        assert count > 0
        self.queues.append(queue)
        self._came.release()

    def wait(self) -> None:
        """Return at the next one."""
        assert self._came.acquire(timeout=DEADLINE_S), "no wake-up came"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> CoreSettings:
    return CoreSettings(DATABASE_URL=database_url, REDIS_URL=redis_url)


@contextmanager
def releases(settings: CoreSettings, wakes: Wakes, *, leads: bool = True) -> Iterator[RateReleases]:
    thread = RateReleases(settings, wakes, lambda: leads)
    thread.start()
    try:
        yield thread
    finally:
        assert thread.stop()


def starts(world: World) -> list[float]:
    rows = world.sql("SELECT CAST(extract(epoch FROM at) AS double precision) AS at FROM starts ORDER BY at")
    return [row["at"] for row in rows]


def test_jobs_of_a_key_follow_each_other_at_their_rate_without_a_keeper_check(
    world: World, settings: CoreSettings
) -> None:
    world.call(rate_limits.put, RateLimit(KEY, 1, WINDOW_S))
    world.insert_many(3, rate_key=KEY)
    worker, wakes = world.worker(), Wakes()
    with releases(settings, wakes) as thread:
        thread.look()
        for _ in range(3):
            wakes.wait()
            assert len(world.take(worker, 10, quick=TYPES)) == 1
    first, second, third = starts(world)
    assert min(second - first, third - second) >= WINDOW_S


def test_workers_are_woken_when_a_queue_may_start_its_next_job(world: World, settings: CoreSettings) -> None:
    world.limit_rate(2, WINDOW_S)
    world.insert_many(4)
    worker, wakes = world.worker(), Wakes()
    assert len(world.take(worker, 10, quick=TYPES)) == 2
    with releases(settings, wakes) as thread:
        thread.look()
        wakes.wait()
        assert world.take(worker, 10, quick=TYPES)
    assert wakes.queues[0] == QUEUE


def test_a_job_that_is_blocked_while_its_limit_is_in_use_is_found_without_a_look(
    world: World, settings: CoreSettings
) -> None:
    world.call(rate_limits.put, RateLimit(KEY, 1, WINDOW_S))
    world.insert_many(2, rate_key=KEY)
    worker, wakes = world.worker(), Wakes()
    with releases(settings, wakes) as thread:
        thread.look()
        for _ in range(2):
            wakes.wait()
            world.take(worker)
        late = world.insert(rate_key=KEY)
        wakes.wait()
        assert [claim.id for claim in world.take(worker)] == [late]


def test_a_permit_of_a_job_whose_queue_was_paused_goes_to_a_job_that_can_start(
    world: World, settings: CoreSettings
) -> None:
    world.call(rate_limits.put, RateLimit(KEY, 1, 60))
    world.insert(rate_key=KEY, queue="stopped")
    world.worker("stopped", QUEUE)
    world.call(start_permits.unblock, [KEY])
    world.call(queues.change, "stopped", paused=True, set_max=False, max_running=None)
    other = world.insert(rate_key=KEY)
    wakes = Wakes()
    with releases(settings, wakes) as thread:
        thread.look()
        wakes.wait()
    assert wakes.queues == [QUEUE]
    assert world.row(other)["ready"]


def test_who_does_not_lead_releases_nothing(world: World, settings: CoreSettings) -> None:
    job_id = world.insert(rate_key=KEY)
    wakes = Wakes()
    with releases(settings, wakes, leads=False) as thread:
        thread.look()
    assert not wakes.queues
    assert not world.row(job_id)["ready"]


def test_an_outage_delays_releases_and_loses_none(
    world: World, settings: CoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([StoreUnavailable("PostgreSQL is not available")] * 2)
    waiting = start_permits.waiting

    def fail_twice(connection: Connection, after: str = "", limit: int = 1000) -> dict[str, float]:
        for failure in failures:
            raise failure
        return waiting(connection, after, limit)

    monkeypatch.setattr(start_permits, "waiting", fail_twice)
    world.insert(rate_key=KEY)
    wakes = Wakes()
    with releases(settings, wakes) as thread:
        thread.look()
        wakes.wait()
    assert wakes.queues == [QUEUE]
