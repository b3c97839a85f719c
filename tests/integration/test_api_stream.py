"""`GET /tasks/{id}/stream`: replay, live, resume, gaps, the end; with and without Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count, takewhile
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from tests.integration.hand_worker import HandWorker
from tests.waiting import until

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
