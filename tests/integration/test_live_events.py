"""Live events over a real Valkey: they reach whoever listens, and Redis' absence reaches nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest
import redis
from uuid_utils.compat import uuid7

from jobcore.broker.cancel_listener import CancelListener
from jobcore.broker.event_publisher import QUEUED_MAX, TIMEOUT_S, EventPublisher
from jobcore.broker.live_events import WAITING_MAX, LiveEvents, Subscription
from jobcore.models import Change, Event
from jobcore.settings import redis_url as urls
from jobcore.states import Status
from longrun_local.valkey import EmbeddedValkey
from tests.waiting import PATIENCE_S, until, until_async


def event(seq: int | None = 1) -> Event:
    return Event(seq, datetime.now(UTC), 1, "log", {"message": "é", "n": seq})


@pytest.fixture
def publisher(redis_url: str) -> Iterator[EventPublisher]:
    publisher = EventPublisher(urls.parse(redis_url))
    publisher.start()
    yield publisher
    publisher.stop()


@asynccontextmanager
async def listening(redis_url: str) -> AsyncIterator[LiveEvents]:
    live = LiveEvents(urls.parse(redis_url))
    await live.start()
    try:
        await until_async(lambda: live.connected, what="it is connected")
        yield live
    finally:
        await live.close()


@contextmanager
def frozen(server: EmbeddedValkey) -> Iterator[None]:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def heard(subscription: Subscription, within_s: float) -> Event | None:
    """The next live event; None if there is none within so many seconds."""
    try:
        async with asyncio.timeout(within_s):
            return await subscription.next()
    except TimeoutError:
        return None


async def receive(subscription: Subscription) -> Event:
    got = await heard(subscription, PATIENCE_S)
    assert got is not None, "the event did not arrive"
    return got


async def until_received(publisher: EventPublisher, subscription: Subscription, job_id: object) -> None:
    """Publish until an event arrives; what is published while Redis is away may be lost."""
    give_up = time.monotonic() + PATIENCE_S
    while await heard(subscription, 0.1) is None:
        assert time.monotonic() < give_up, "live events did not come back"
        publisher.publish(job_id, [event()])  # type: ignore[arg-type]


def test_an_event_published_after_subscribing_always_arrives_unchanged_and_in_order(
    publisher: EventPublisher, redis_url: str
) -> None:
    async def follow() -> None:
        async with listening(redis_url) as live:
            for _ in range(100):
                job_id = uuid7()
                told = [event(1), event(2), event(None)]
                async with live.subscribe(job_id) as subscription:
                    publisher.publish(job_id, told)
                    assert [await receive(subscription) for _ in told] == told

    asyncio.run(follow())


def test_every_follower_of_a_job_hears_its_events_and_only_its(publisher: EventPublisher, redis_url: str) -> None:
    async def follow() -> None:
        mine, other = uuid7(), uuid7()
        async with (
            listening(redis_url) as live,
            live.subscribe(mine) as one,
            live.subscribe(mine) as two,
            live.subscribe(other) as three,
        ):
            publisher.publish(other, [event(7)])
            publisher.publish(mine, [event(1)])
            assert [(await receive(each)).seq for each in (one, two, three)] == [1, 1, 7]
            async with live.subscribe(mine):
                pass
            publisher.publish(mine, [event(2)])
            assert [(await receive(each)).seq for each in (one, two)] == [2, 2]

    asyncio.run(follow())


def test_a_slow_follower_loses_hints_and_holds_up_nobody(publisher: EventPublisher, redis_url: str) -> None:
    async def follow() -> None:
        job_id, other_id = uuid7(), uuid7()
        async with listening(redis_url) as live, live.subscribe(job_id) as slow, live.subscribe(other_id) as quick:
            publisher.publish(job_id, [event(seq) for seq in range(2000)])
            publisher.publish(other_id, [event(1)])
            assert (await receive(quick)).seq == 1
            assert slow.behind, "it is not told to look into PostgreSQL"
            assert slow._bytes <= WAITING_MAX, "what waits for a slow follower has no bound"

    asyncio.run(follow())


def test_garbage_on_a_channel_is_passed_over(publisher: EventPublisher, redis_url: str) -> None:
    async def follow() -> None:
        job_id = uuid7()
        async with listening(redis_url) as live, live.subscribe(job_id) as subscription:
            with redis.Redis.from_url(redis_url) as client:
                for garbage in (b"\xff", b"{}", b"[1]", b"null", b'{"seq": 1, "at": "soon"}'):
                    client.publish(urls.parse(redis_url).job(job_id), garbage)
            publisher.publish(job_id, [event(5)])
            assert (await receive(subscription)).seq == 5

    asyncio.run(follow())


def test_followers_hear_again_after_redis_was_restarted(
    publisher: EventPublisher, redis_url: str, redis_server: EmbeddedValkey
) -> None:
    async def follow() -> None:
        job_id, other_id = uuid7(), uuid7()
        async with listening(redis_url) as live, live.subscribe(job_id) as subscription:
            publisher.publish(job_id, [event()])
            await receive(subscription)
            redis_server.stop(immediate=True)
            await until_async(lambda: not live.connected, what="it noticed that Redis is gone")
            async with live.subscribe(other_id) as meanwhile:
                redis_server.start()
                await until_received(publisher, subscription, job_id)
                await until_received(publisher, meanwhile, other_id)

    asyncio.run(follow())


def test_frozen_redis_never_blocks_who_publishes(
    publisher: EventPublisher, redis_url: str, redis_server: EmbeddedValkey
) -> None:
    job_id = uuid7()
    slowest = 0.0
    with frozen(redis_server):
        thawed_at = time.monotonic() + 2.5  # past the publisher's own time limit
        while time.monotonic() < thawed_at:
            began = time.monotonic()
            publisher.publish(job_id, [event()] * 50)
            slowest = max(slowest, time.monotonic() - began)
            assert len(publisher._messages) <= QUEUED_MAX, "what waits for Redis has no bound"
            time.sleep(0.005)  # the pace of the load
    assert slowest < TIMEOUT_S, "who publishes waited for Redis"

    async def follow() -> None:
        async with listening(redis_url) as live, live.subscribe(job_id) as subscription:
            await until_received(publisher, subscription, job_id)

    asyncio.run(follow())


def test_frozen_redis_holds_a_new_follower_up_for_a_bounded_time(redis_url: str, redis_server: EmbeddedValkey) -> None:
    async def follow() -> None:
        async with listening(redis_url) as live:
            with frozen(redis_server):
                began = time.monotonic()
                async with live.subscribe(uuid7()):
                    assert time.monotonic() - began < PATIENCE_S

    asyncio.run(follow())


def test_a_publisher_that_is_stopped_first_sends_what_waits(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        job_id, server = uuid7(), urls.parse(redis_url)
        pubsub.subscribe(server.readers, server.job(job_id))
        for _ in range(2):
            pubsub.get_message(timeout=PATIENCE_S)
        publisher = EventPublisher(server)
        publisher.start()
        publisher.publish(job_id, [event(seq) for seq in range(1200)])
        publisher.stop()
        heard = 0
        while heard < 1200:
            assert pubsub.get_message(timeout=PATIENCE_S) is not None
            heard += 1


def test_a_cancel_reaches_the_supervisors_also_after_redis_was_restarted(
    publisher: EventPublisher, redis_url: str, redis_server: EmbeddedValkey
) -> None:
    heard = threading.Event()
    listener = CancelListener(urls.parse(redis_url), heard.set)
    listener.start()
    cancelled, finished = (
        Change(uuid7(), "default", status, False, 2, 0, datetime.now(UTC), {"status": status}, "echo", None, False)
        for status in (Status.CANCELLED, Status.SUCCESS)
    )
    channel = urls.parse(redis_url).cancels
    with redis.Redis.from_url(redis_url) as client:
        for restart in (False, True):
            if restart:
                redis_server.stop(immediate=True)
                redis_server.start()
            until(lambda: dict(client.pubsub_numsub(channel))[channel.encode()], what="the listener has subscribed")
            give_up = time.monotonic() + PATIENCE_S
            publisher.publish_changes([finished])
            assert not heard.wait(0.2), "a finish was taken for a cancel"
            while not heard.is_set():
                assert time.monotonic() < give_up
                publisher.publish_changes([cancelled])
                heard.wait(0.1)
            heard.clear()
    listener.stop()
