"""How many streams an owner may have open: the counter, with a real Redis, and what the API says of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack

import httpx

from jobcore.settings.redis_server import RedisServer
from jobcore.settings.redis_url import parse
from longrun_api.stream_quota import StreamQuota, StreamsExceeded
from tests.integration.keyed import KeyedApi
from tests.waiting import until

LONG_S = 3600.0


async def opened(stack: AsyncExitStack, counter: StreamQuota, owner: str = "ada") -> bool:
    """Whether a stream is let in; it stays open until the stack is closed."""
    try:
        await stack.enter_async_context(counter.place(owner))
    except StreamsExceeded:
        return False
    return True


def test_processes_together_hold_the_quota_in_a_race_and_a_stream_that_ends_frees_its_place(redis_url: str) -> None:
    async def told() -> None:
        one, other = (StreamQuota(parse(redis_url), {"ada": 5, "grace": 1}.get, LONG_S) for _ in range(2))
        for counter in (one, other):
            await counter.start()
        async with AsyncExitStack() as streams:
            barrier = asyncio.Barrier(12)

            async def come(number: int) -> bool:
                await barrier.wait()
                return await opened(streams, (one, other)[number % 2])

            assert sum(await asyncio.gather(*(come(number) for number in range(12)))) == 5
            assert await one.used("ada") == await other.used("ada") == 5
            assert await opened(streams, one, "grace")
            assert not await opened(streams, other, "grace")
            assert await opened(streams, other, "somebody without a quota")
        while await one.used("ada") or await other.used("grace"):
            await asyncio.sleep(0.01)  # the processes say it by themselves, each its own
        for counter in (one, other):
            await counter.close()

    asyncio.run(told())


def test_streams_of_a_killed_process_are_forgotten(redis_url: str) -> None:
    async def told() -> None:
        killed, other = StreamQuota(parse(redis_url), lambda _: 1, 0.2), StreamQuota(parse(redis_url), lambda _: 1)
        async with AsyncExitStack() as streams:
            assert await opened(streams, killed)
            await killed.close()  # it says nothing of its stream any more
            while not await opened(streams, other):
                await asyncio.sleep(0.01)  # Redis tells nobody what it forgets
        await other.close()

    asyncio.run(told())


def test_while_redis_is_away_every_stream_is_opened() -> None:
    async def told() -> None:
        counter = StreamQuota(RedisServer(hosts=(("127.0.0.1", 9),)), lambda _: 1)
        async with AsyncExitStack() as streams:
            assert all([await opened(streams, counter) for _ in range(3)])
            assert await counter.used("ada") is None
        await counter.close()

    asyncio.run(told())


def test_one_stream_too_many_is_refused_until_another_is_closed(keyed: KeyedApi) -> None:
    for owner in ("streamer", "streamer-2"):
        keyed.admin.put(f"/quotas/{owner}", json={"streams": 2}).raise_for_status()
    with keyed.caller("submit", "read", owner="streamer") as client, ExitStack() as streams:
        task = client.post("/tasks", json={"task_type": "echo", "input": {}, "queue": "nobody"}).json()["task_id"]
        paths = (f"/tasks/{task}/stream", "/events/stream")
        first, second = (streams.enter_context(client.stream("GET", path)) for path in paths)
        assert (first.status_code, second.status_code) == (200, 200)
        for path in paths:
            refused = client.get(path)
            assert refused.status_code == httpx.codes.TOO_MANY_REQUESTS
            assert refused.json()["violated-policies"] == ["streams"]
            assert refused.headers["retry-after"] == "5"
        assert keyed.admin.get("/quotas/streamer").json()["used"]["streams"] == 2
        with keyed.caller("read", owner="streamer-2") as other, other.stream("GET", paths[1]) as their:
            assert their.status_code == 200
        first.close()
        until(lambda: client.get("/quotas/streamer").json()["used"]["streams"] == 1, what="the place is free")
        with client.stream("GET", paths[0]) as third:
            assert third.status_code == 200
