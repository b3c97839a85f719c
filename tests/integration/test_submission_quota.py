"""How many tasks an owner may submit in a second: the counter, with a real Redis, and what the API says of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
import redis

from jobcore.models.api_keys import new_key
from jobcore.settings.redis_server import RedisServer
from jobcore.settings.redis_url import parse
from longrun_api.submission_quota import SHARE, SubmissionQuota, SubmissionsExceeded, Use
from tests.integration.keyed import KeyedApi
from tests.processes import Stack
from tests.waiting import until

ECHO = {"task_type": "echo", "input": {}, "queue": "nobody"}
LONG_S = 3600.0


Story = Callable[..., Awaitable[None]]


def counted(redis_url: str, story: Story, *quotas: int | None, window_s: float = LONG_S) -> None:
    """Run a story with the counters of several processes of the API."""

    async def told() -> None:
        counters = [SubmissionQuota(parse(redis_url), {"ada": quota, "grace": quota}.get, window_s) for quota in quotas]
        try:
            await story(*counters)
        finally:
            for counter in counters:
                await counter.close()

    asyncio.run(told())


async def accepted(*takes: Awaitable[object]) -> int:
    """How many of these submissions, all at once, are accepted."""
    results = await asyncio.gather(*takes, return_exceptions=True)
    assert {type(result) for result in results} <= {Use, SubmissionsExceeded}, results
    return sum(not isinstance(result, SubmissionsExceeded) for result in results)


@pytest.mark.parametrize("quota", [1, 7, 19])
def test_processes_together_accept_exactly_the_quota_in_a_race(redis_url: str, quota: int) -> None:
    async def story(*counters: SubmissionQuota) -> None:
        takes = [counter.take("ada") for _ in range(30) for counter in counters]
        assert await accepted(*takes) == quota
        assert await accepted(*(counter.take("grace") for counter in counters)) == min(quota, 3)

    counted(redis_url, story, quota, quota, quota)


def test_a_large_quota_costs_twenty_questions_and_is_never_exceeded(redis_url: str) -> None:
    async def story(one: SubmissionQuota, other: SubmissionQuota) -> None:
        with redis.Redis.from_url(redis_url) as client:
            before = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
            assert await accepted(*(one.take("ada") for _ in range(1000))) == 1000
            asked = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        assert asked <= 2 * SHARE + 1
        assert await accepted(*(other.take("ada") for _ in range(10))) == 0
        with pytest.raises(SubmissionsExceeded) as raised:
            await other.take("ada")
        assert raised.value.headers["RateLimit"].startswith('"submissions";r=0;t=')

    counted(redis_url, story, 1000, 1000)


def test_a_batch_is_taken_whole_and_the_next_waits_as_long_as_it_was(redis_url: str) -> None:
    async def story(counter: SubmissionQuota) -> None:
        use = await counter.take("ada", 100)
        assert use is not None
        assert (use.left, use.resets_s) == (0, 36_000)
        with pytest.raises(SubmissionsExceeded) as raised:
            await counter.take("ada")
        assert raised.value.retry_after_s == 36_000

    counted(redis_url, story, 10)


def test_a_new_window_begins_when_the_last_one_has_ended(redis_url: str) -> None:
    async def story(counter: SubmissionQuota) -> None:
        assert await accepted(*(counter.take("ada") for _ in range(3))) == 2
        while await accepted(counter.take("ada")) == 0:
            await asyncio.sleep(0.01)  # the window ends by the clock of Redis, which tells nobody

    counted(redis_url, story, 2, window_s=0.2)


def test_nothing_is_counted_for_the_operator_or_without_a_quota(redis_url: str) -> None:
    async def story(limited: SubmissionQuota, free: SubmissionQuota) -> None:
        assert [await limited.take(None) for _ in range(5)] == [None] * 5
        assert [await free.take("ada") for _ in range(5)] == [None] * 5
        with redis.Redis.from_url(redis_url) as client:
            assert not client.keys("*quota*")

    counted(redis_url, story, 1, None)


def test_while_redis_is_away_nobody_is_refused() -> None:
    async def story() -> None:
        counter = SubmissionQuota(RedisServer(hosts=(("127.0.0.1", 9),)), lambda _: 1)
        assert [await counter.take("ada") for _ in range(5)] == [None] * 5
        await counter.close()

    asyncio.run(story())


@pytest.fixture(scope="module")
def api(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[KeyedApi]:
    with new_stack("quotas") as stack:
        yield KeyedApi(stack, new_key(), LONGRUN_QUOTA_SUBMISSIONS="3")


def test_an_owner_who_submits_too_fast_is_told_when_to_come_back(api: KeyedApi) -> None:
    with api.caller("submit", "read", owner="ada") as ada, api.caller("submit", owner="grace") as grace:
        first = ada.post("/tasks", json=ECHO)
        assert first.headers["ratelimit-policy"] == '"submissions";q=3;w=1'
        assert first.headers["ratelimit"].startswith('"submissions";r=')
        items = {"items": [ECHO] * 30}
        until(lambda: ada.post("/tasks:batch", json=items).status_code == 200)  # 30 tasks, so nothing for ten seconds
        refused = ada.post("/tasks", json=ECHO)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 11
        assert refused.headers["ratelimit"] == f'"submissions";r=0;t={refused.headers["retry-after"]}'
        problem = refused.json()
        assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert problem["violated-policies"] == ["submissions"]
        assert ada.post("/tasks:batch", json=items).status_code == 429
        assert ada.post("/tasks", json=ECHO, params={"validate_only": True}).status_code == 200
        assert ada.get("/tasks:count").status_code == 200
        assert grace.post("/tasks", json=ECHO).status_code == 202
        assert "ratelimit" not in api.admin.post("/tasks", json={**ECHO, "owner": "ada"}).headers


def test_two_processes_hold_one_quota_in_a_race(api: KeyedApi) -> None:
    other = api.another(LONGRUN_QUOTA_SUBMISSIONS="3")
    key = api.make("submit", owner="racer")["key"]
    barrier = threading.Barrier(2)
    statuses: list[int] = []

    def submit(url: str) -> None:
        with api.client(key, url) as client:
            barrier.wait()
            for _ in range(10):
                statuses.append(client.post("/tasks:batch", json={"items": [ECHO] * 300}).status_code)

    threads = [threading.Thread(target=submit, args=(url,)) for url in (api.url, other.url)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses, key=int) == [httpx.codes.OK] + [httpx.codes.TOO_MANY_REQUESTS] * 19


def test_an_owner_can_have_a_quota_of_its_own(api: KeyedApi) -> None:
    with api.caller("submit", owner="eve/1") as eve:
        here = "/quotas/eve/1"
        amounts = {"submissions": 3, "queued": None, "names": None, "streams": None, "stored_bytes": None}
        used = {"queued": 0, "names": 0, "streams": None, "stored_bytes": 0}
        default = {"owner": "eve/1", **amounts, "is_default": True, "used": used}
        assert api.admin.get(here).json() == default
        own = {**default, "submissions": 500, "is_default": False}
        assert api.admin.put(here, json={"submissions": 500}).json() == own
        assert api.admin.get("/quotas").json() == {"items": [own], "next": None}
        assert eve.post("/tasks", json=ECHO).headers["ratelimit-policy"] == '"submissions";q=500;w=1'
        assert api.admin.put(here, json={"submissions": None}).json()["submissions"] is None
        assert "ratelimit" not in eve.post("/tasks", json=ECHO).headers
        assert api.admin.delete(here).status_code == 204
        assert eve.post("/tasks", json=ECHO).headers["ratelimit-policy"] == '"submissions";q=3;w=1'
        assert api.admin.get("/quotas").json()["items"] == []
        for wrong in ({}, {"submissions": 0}, {"submissions": 1.5}, {"submissions": 1, "x": 1}):
            assert api.admin.put(here, json=wrong).status_code == 422
    with api.caller("admin", owner="eve/1") as eve:
        assert eve.put(here, json={"submissions": 1000}).status_code == 403
    with api.caller("operate") as operator:
        assert operator.get("/quotas").status_code == 403


def test_a_changed_quota_holds_in_other_processes_too(api: KeyedApi) -> None:
    other = api.another(LONGRUN_QUOTA_SUBMISSIONS="3")
    with api.client(api.make("submit", owner="zoe")["key"], other.url) as zoe:
        assert zoe.post("/tasks:batch", json={"items": [ECHO] * 300}).status_code == 200  # nothing for 100 seconds
        assert zoe.post("/tasks", json=ECHO).status_code == 429
        api.admin.put("/quotas/zoe", json={"submissions": 400}).raise_for_status()
        until(lambda: zoe.post("/tasks", json=ECHO).status_code == 202)
