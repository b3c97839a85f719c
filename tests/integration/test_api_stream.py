"""`GET /tasks/{id}/stream`: replay, live, resume, gaps, the end; with and without Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count, takewhile
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from longrun_api.stream_check import CHECK_S
from longrun_local.valkey import EmbeddedValkey
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import fields, problem
from tests.waiting import PATIENCE_S, until

Submit = Callable[..., str]


@contextmanager
def streaming(api: httpx.Client, here: str, **request: Any) -> Iterator[Iterator[ServerSentEvent]]:
    """The events of a task's stream as they come."""
    with api.stream("GET", f"{here}/stream", **request) as response:
        assert response.status_code == 200, response.read()
        yield EventSource(response).iter_sse()


def story(events: Iterator[ServerSentEvent]) -> list[tuple[str, str]]:
    """The rest of a stream up to its end: (id, event)."""
    return [(event.id, event.event) for event in events]


def test_an_ended_task_is_replayed_from_the_start_and_the_stream_ends(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    worker.log(claim, "hello")
    worker.say(claim, "checkpoint", {"state": {"page": 1}})
    worker.finish(claim)
    with streaming(api, here) as events:
        seen = list(events)
    assert [(event.id, event.event) for event in seen] == [
        ("1", "state"),
        ("2", "state"),
        ("3", "log"),
        ("4", "checkpoint"),
        ("5", "state"),
    ]
    data = [json.loads(event.data) for event in seen]
    assert [item["seq"] for item in data] == [1, 2, 3, 4, 5]
    assert [item["attempt"] for item in data] == [0, 1, 1, 1, 1]
    assert [datetime.fromisoformat(item["at"]).tzname() for item in data] == ["UTC"] * 5
    assert (data[0]["status"], data[1]["status"], data[4]["status"]) == ("PENDING", "RUNNING", "SUCCESS")
    assert (data[2]["level"], data[2]["message"]) == ("info", "hello")


def test_a_stream_is_framed_so_that_no_proxy_holds_it_back(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    api.delete(here)
    response = api.get(f"{here}/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"
    first, *others = response.text.removesuffix("\n\n").split("\n\n")
    assert first.split("\n")[-2:] == ["id: 1", "retry: 1000"]
    assert "retry:" not in str(others)


def test_events_arrive_as_they_happen(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        told_at = time.monotonic()
        for number in range(20):
            worker.log(claim, f"line {number}")
            assert json.loads(next(events).data)["message"] == f"line {number}"
        assert time.monotonic() - told_at < 10 * CHECK_S, "events came by polling, not live"
        worker.finish(claim, quiet=False)
        assert story(events) == [("23", "state")]


def test_progress_that_is_not_stored_is_passed_on_without_an_id(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    with api.stream("GET", f"{here}/stream") as response:
        events = EventSource(response).iter_sse()
        assert [next(events).id, next(events).id] == ["1", "2"]
        worker.progress(claim, 3)
        live = next(events)
        worker.finish(claim)
        assert story(events) == [("3", "state")]
    data = json.loads(live.data)
    assert (live.event, data["seq"], data["done"]) == ("progress", None, 3)
    assert live.id == "2", "an event without an id leaves the client's last id as it was"


def test_a_gap_in_the_live_events_is_filled_before_what_follows(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        told_at = time.monotonic()
        for first in range(3, 18, 3):
            for message in ("lost", "lost too"):
                worker.log(claim, message, quiet=True)
            worker.log(claim, "heard")
            assert [next(events).id for _ in range(3)] == [str(first + more) for more in range(3)]
        assert time.monotonic() - told_at < 2 * CHECK_S, "five gaps were found by five checks"
        worker.log(claim, "lost again", quiet=True)
        worker.finish(claim)
        assert story(events) == [("18", "log"), ("19", "state")]


def test_an_event_told_twice_is_sent_once(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        worker.log(claim, "once")
        stored = json.loads(next(events).data)
        worker.publisher.publish(claim.id, worker.db.call(_events_after, claim.id, 0))
        worker.finish(claim)
        assert story(events) == [(str(stored["seq"] + 1), "state")]


def _events_after(connection: Any, job_id: Any, seq: int) -> Any:
    from jobcore.store import events

    return events.after(connection, job_id, seq)


def test_events_that_nobody_announced_are_found_by_looking(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        worker.finish(claim, quiet=True)
        assert story(events) == [("3", "state")]


@pytest.mark.parametrize(
    ("headers", "query", "ids"),
    [
        ({"last-event-id": "2"}, "", ["3", "4"]),
        ({}, "?after=2", ["3", "4"]),
        ({"last-event-id": "3"}, "?after=1", ["4"]),
        ({"last-event-id": "0"}, "", ["1", "2", "3", "4"]),
        ({"last-event-id": ""}, "", ["1", "2", "3", "4"]),
    ],
)
def test_a_stream_resumes_after_the_last_event_seen(
    api: httpx.Client, worker: HandWorker, submit: Submit, headers: dict[str, str], query: str, ids: list[str]
) -> None:
    here = submit()
    claim = worker.claim()
    worker.log(claim, "line")
    worker.finish(claim)
    with api.stream("GET", f"{here}/stream{query}", headers=headers) as response:
        assert [event.id for event in EventSource(response).iter_sse()] == ids


def test_a_resume_at_the_end_tells_the_client_to_stop_reconnecting(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit()
    claim = worker.claim()
    worker.log(claim, "line")
    worker.finish(claim)
    for response in (
        api.get(f"{here}/stream", headers={"last-event-id": "4"}),
        api.get(f"{here}/stream", params={"after": "4"}),
    ):
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "99999999999999999999", "7", "4000000"])
def test_a_cursor_that_no_event_has_is_refused_by_the_name_it_came_under(
    api: httpx.Client, submit: Submit, cursor: str, ended: bool
) -> None:
    here = submit()
    if ended:
        assert api.delete(here).status_code == 200
    as_header = api.get(f"{here}/stream", headers={"last-event-id": cursor})
    assert list(fields(problem(as_header, 422, "invalid-input"))) == ["Last-Event-ID"]
    as_parameter = api.get(f"{here}/stream", params={"after": cursor})
    assert list(fields(problem(as_parameter, 422, "invalid-input"))) == ["after"]


def test_a_cancel_ends_the_stream_with_its_receipt(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        assert api.delete(here).status_code == 202
        last = next(events)
        assert story(events) == []
    data = json.loads(last.data)
    assert (last.event, data["status"]) == ("state", "CANCELLED")
    assert data["cancel"]["requested_at"]


def test_a_quiet_stream_is_kept_open_by_comments(api: httpx.Client, submit: Submit) -> None:
    here = submit()
    with api.stream("GET", f"{here}/stream", timeout=PATIENCE_S) as response:
        comment = next(line for line in response.iter_lines() if line.startswith(":"))
        assert comment == ": ping"


def test_a_long_story_is_replayed_whole(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    from jobcore.models import NewEvent

    here = submit()
    claim = worker.claim()
    lines = [NewEvent("log", {"level": "info", "message": f"{number} {'x' * 1000}"}) for number in range(1500)]
    worker.db.call(append_events, claim.id, claim.fence, lines)
    worker.finish(claim)
    with streaming(api, here) as events:
        assert [int(event.id) for event in events] == list(range(1, 1504))


def test_many_streams_at_once_each_get_their_whole_story(
    api_url: str, worker: HandWorker, submit: Submit, api: httpx.Client
) -> None:
    jobs = [submit() for _ in range(20)]
    claims = [worker.claim() for _ in jobs]

    async def follow(client: httpx.AsyncClient, here: str, started: asyncio.Semaphore) -> list[str]:
        async with client.stream("GET", f"{here}/stream") as response:
            ids = []
            async for event in EventSource(response).aiter_sse():
                ids.append(event.id)
                if event.id == "2":
                    started.release()
            return ids

    async def run() -> list[list[str]]:
        limits = httpx.Limits(max_connections=250)
        async with httpx.AsyncClient(base_url=api_url, limits=limits, timeout=30) as client:
            started = asyncio.Semaphore(0)
            followers = [asyncio.create_task(follow(client, here, started)) for here in jobs * 10]
            for _ in followers:
                await started.acquire()
            for claim in claims:
                worker.log(claim, "line")
                worker.finish(claim)
            return await asyncio.gather(*followers)

    assert asyncio.run(run()) == [["1", "2", "3", "4"]] * 200


def test_streams_go_on_without_redis_and_after_it_is_back(
    api: httpx.Client, worker: HandWorker, submit: Submit, redis_server: EmbeddedValkey
) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        redis_server.stop()
        try:
            worker.log(claim, "told to nobody")
            assert next(events).id == "3"
            with streaming(api, here, headers={"last-event-id": "2"}) as others:
                assert next(others).id == "3"
                worker.log(claim, "told to nobody either")
                assert next(others).id == "4"
        finally:
            redis_server.start()
        assert next(events).id == "4"
        worker.finish(claim)
        assert story(events) == [("5", "state")]


def test_live_events_come_back_with_redis(
    api: httpx.Client, worker: HandWorker, submit: Submit, redis_server: EmbeddedValkey
) -> None:
    here = submit()
    claim = worker.claim()
    with streaming(api, here) as events:
        assert [next(events).id, next(events).id] == ["1", "2"]
        redis_server.stop()
        redis_server.start()
        seqs = map(str, count(3))

        def progress_arrives() -> bool:
            """Whether an event arrives that is not stored, so that no check of what is stored can find it."""
            worker.progress(claim, 1)
            worker.log(claim, "line")
            seq = next(seqs)
            heard = list(takewhile(lambda event: event.id != seq or event.event != "log", events))
            return "progress" in {event.event for event in heard}

        until(progress_arrives, what="what is not stored arrives live")


def test_a_client_that_leaves_takes_its_subscription_along(
    api: httpx.Client, worker: HandWorker, submit: Submit, redis_url: str
) -> None:
    import redis

    here = submit()
    claim = worker.claim()
    channel = f"longrun:job:{claim.id}"
    with redis.Redis.from_url(redis_url) as client:
        with streaming(api, here) as events:
            assert [next(events).id, next(events).id] == ["1", "2"]
            worker.log(claim, "line")
            assert next(events).id == "3"
            assert client.pubsub_numsub(channel) == [(channel.encode(), 1)]
        until(lambda: client.pubsub_numsub(channel) == [(channel.encode(), 0)], what="the subscription is gone")
