"""Wake-ups on a real Redis: a queue's list gets as many as it lacks, whether a worker waits for them or not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from jobcore.broker.waker import Waker
from jobcore.settings import CoreSettings
from tests.waiting import PATIENCE_S, until

QUEUE = "woken"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> CoreSettings:
    return CoreSettings(DATABASE_URL=database_url, REDIS_URL=redis_url)


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def take_one(waker: Waker, settings: CoreSettings, server: redis.Redis) -> None:
    """Have a worker that waits at the list of the queue take a wake-up as it is sent."""
    key = settings.redis.queue(QUEUE)
    with ThreadPoolExecutor(1) as worker:
        taken = worker.submit(server.brpop, [key], PATIENCE_S)
        until(lambda: dict(server.info("clients"))["blocked_clients"], what="a worker waits")  # type: ignore[arg-type]
        waker.fill({QUEUE: 1})
        assert taken.result() is not None


def waiting(settings: CoreSettings, server: redis.Redis) -> int:
    count = server.llen(settings.redis.queue(QUEUE))
    assert isinstance(count, int)
    return count


def test_a_list_that_nobody_reads_gets_no_more_wake_ups_than_it_lacks(
    settings: CoreSettings, server: redis.Redis
) -> None:
    waker = Waker(settings)
    waker.fill({QUEUE: 1})
    waker.fill({QUEUE: 1})
    assert waiting(settings, server) == 1
    waker.fill({QUEUE: 3})
    assert waiting(settings, server) == 3


def test_a_worker_that_waited_gets_its_wake_up_without_a_look_and_the_list_then_what_it_lacks(
    settings: CoreSettings, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    waker = Waker(settings)
    take_one(waker, settings, server)
    looked: list[int] = []
    look = waker._lengths

    def counted(queues: Collection[str]) -> dict[str, int]:
        looked.append(waiting(settings, server))
        return look(queues)

    monkeypatch.setattr(waker, "_lengths", counted)
    waker.fill({QUEUE: 3})
    assert looked[0] == 1, "the first wake-up was sent before the look"
    assert waiting(settings, server) == 3
    waker.fill({QUEUE: 3})
    assert waiting(settings, server) == 3


def test_a_worker_that_stops_reading_finds_no_more_wake_ups_than_were_wanted_at_once(
    settings: CoreSettings, server: redis.Redis
) -> None:
    waker = Waker(settings)
    take_one(waker, settings, server)
    for _ in range(5):
        waker.fill({QUEUE: 1})
    assert waiting(settings, server) == 1
