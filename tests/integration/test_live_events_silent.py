"""A connection to Redis that is open and passes nothing is replaced, and streams are live again."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime

import redis
from uuid_utils.compat import uuid7

from jobcore.broker.cancel_listener import CancelListener
from jobcore.broker.event_publisher import EventPublisher
from jobcore.broker.live_events import LiveEvents
from jobcore.models import Event
from jobcore.settings.redis_url import parse
from tests.fault.link import Link
from tests.integration.test_live_events import heard
from tests.waiting import PATIENCE_S, until, until_async


def test_a_silent_connection_is_replaced_and_streams_are_live_again(redis_url: str) -> None:
    job_id = uuid7()

    async def run(link: Link, publisher: EventPublisher) -> Event | None:
        live = LiveEvents(parse(link.url))
        await live.start()
        try:
            await until_async(lambda: live.connected, what="it is connected")
            await asyncio.sleep(1)  # that nothing replaces an idle connection that answers can only be waited for
            assert live.connected
            async with live.subscribe(job_id) as subscription:
                with link.muted():
                    give_up = time.monotonic() + PATIENCE_S
                    while time.monotonic() < give_up:
                        publisher.publish(job_id, [Event(1, datetime.now(UTC), 1, "log", {})])
                        if event := await heard(subscription, 0.2):
                            return event
            return None
        finally:
            await live.close()

    publisher = EventPublisher(parse(redis_url))
    publisher.start()
    with Link(redis_url) as link:
        assert asyncio.run(run(link, publisher)) is not None
    publisher.stop()


def test_a_silent_connection_of_the_cancel_listener_is_replaced(redis_url: str) -> None:
    told = threading.Event()
    with Link(redis_url) as link:
        listener = CancelListener(parse(link.url), told.set)
        listener._redis.connection_pool.connection_kwargs["health_check_interval"] = 1
        listener.start()
        client = redis.Redis.from_url(redis_url)
        channel = parse(redis_url).cancels
        until(lambda: client.pubsub_numsub(channel) == [(channel.encode(), 1)], what="the listener has subscribed")
        with link.muted():
            give_up = time.monotonic() + PATIENCE_S
            while not told.wait(0.2) and time.monotonic() < give_up:
                client.publish(channel, "x")
        listener.stop()
    assert told.is_set()
