"""`/rate-limits` and the rate limit of a queue: how often tasks start, and every mistake that can be made there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import httpx
import pytest

from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.waiting import until

Submit = Callable[..., str]
RATE = {"max_starts": 2, "window_s": 60}


@pytest.fixture
def key() -> str:
    return f"api.example.com/{uuid4()}"


def counts(api: httpx.Client, name: str) -> tuple[int, int]:
    found = api.get(f"/queues/{name}").raise_for_status().json()
    return found["ready"], found["blocked"]


def test_tasks_of_a_key_start_only_as_often_as_its_limit_allows(
    api: httpx.Client, worker: HandWorker, submit: Submit, key: str
) -> None:
    put = api.put(f"/rate-limits/{key}", json=RATE)
    assert put.json() == {"key": key, "owner": None, **RATE, "taken": 0, "next_start_at": None}
    paths = [submit(rate_key=key) for _ in range(3)]
    assert api.get(paths[0]).json()["rate_key"] == key
    until(lambda: counts(api, worker.queue) == (2, 1), what=lambda: str(counts(api, worker.queue)))
    worker.claim()
    worker.claim()
    found = api.get(f"/rate-limits/{key}").json()
    assert found["taken"] == 2
    assert 50 < datetime.fromisoformat(found["next_start_at"]).timestamp() - time.time() <= 60.5
    assert api.delete(f"/rate-limits/{key}").status_code == 204
    until(lambda: counts(api, worker.queue) == (1, 0), what=lambda: str(counts(api, worker.queue)))
    problem(api.get(f"/rate-limits/{key}"), 404, "rate-limit-not-found")


def test_a_queue_has_a_rate_limit_until_it_is_taken_away(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = f"/queues/{worker.queue}"
    for _ in range(3):
        submit()
    changed = api.patch(here, json={"rate_limit": {"max_starts": 1, "window_s": 60}}).json()
    assert changed["rate_limit"] == {"max_starts": 1, "window_s": 60.0, "started": 0, "next_start_at": None}
    assert counts(api, worker.queue) == (1, 2)
    worker.claim()
    found = api.get(here).json()
    assert (found["ready"], found["blocked"], found["rate_limit"]["started"]) == (0, 2, 1)
    assert found["rate_limit"]["next_start_at"]
    assert api.patch(here, json={"paused": False}).json()["rate_limit"]["max_starts"] == 1
    assert api.patch(here, json={"rate_limit": None}).json()["rate_limit"] is None
    assert counts(api, worker.queue) == (2, 0)


@pytest.mark.parametrize("kind", ["key", "queue"])
def test_a_change_for_another_version_changes_nothing(
    api: httpx.Client, worker: HandWorker, key: str, kind: str
) -> None:
    def change(rate: dict[str, int], **headers: str) -> httpx.Response:
        if kind == "key":
            return api.put(f"/rate-limits/{key}", json=rate, headers=headers)
        return api.patch(f"/queues/{worker.queue}", json={"rate_limit": rate}, headers=headers)

    tag = change(RATE).headers["etag"]
    other = {"max_starts": 5, "window_s": 10}
    assert change(other, **{"If-Match": tag}).status_code == 200
    problem(change(RATE, **{"If-Match": tag}), 412, "precondition-failed")
    path = f"/rate-limits/{key}" if kind == "key" else f"/queues/{worker.queue}"
    answer = api.get(path)
    assert other.items() <= (answer.json() if kind == "key" else answer.json()["rate_limit"]).items()
    assert api.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_if_match_makes_no_limit_where_there_is_none(api: httpx.Client, key: str) -> None:
    problem(api.put(f"/rate-limits/{key}", json=RATE, headers={"If-Match": "*"}), 412, "precondition-failed")
    problem(api.get(f"/rate-limits/{key}"), 404, "rate-limit-not-found")


def test_rate_limits_are_paged(api: httpx.Client) -> None:
    keys = [f"rate-page-{number}" for number in range(3)]
    for each in keys:
        api.put(f"/rate-limits/{each}", json=RATE)
    first = api.get("/rate-limits", params={"after": "rate-page-", "limit": 2}).json()
    assert ([item["key"] for item in first["items"]], first["next"]) == (keys[:2], keys[1])
    rest = api.get("/rate-limits", params={"after": first["next"], "limit": 500 // 5}).json()
    assert rest["items"][0]["key"] == keys[2]


@pytest.mark.parametrize(
    ("rate", "field"),
    [
        ({"max_starts": 0, "window_s": 1}, "max_starts"),
        ({"max_starts": 10_001, "window_s": 1}, "max_starts"),
        ({"max_starts": 1.5, "window_s": 1}, "max_starts"),
        ({"max_starts": True, "window_s": 1}, "max_starts"),
        ({"max_starts": "1", "window_s": 1}, "max_starts"),
        ({"max_starts": 1, "window_s": 0.5}, "window_s"),
        ({"max_starts": 1, "window_s": 86_401}, "window_s"),
        ({"max_starts": 1, "window_s": "1"}, "window_s"),
        ({"max_starts": 1}, "window_s"),
        ({"window_s": 1}, "max_starts"),
        ({"max_starts": 1, "window_s": 1, "burst": 2}, "burst"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused_by_its_field(
    api: httpx.Client, worker: HandWorker, key: str, rate: dict[str, object], field: str
) -> None:
    document = problem(api.put(f"/rate-limits/{key}", json=rate), 422, "invalid-input")
    assert document["errors"][0]["field"] == field
    document = problem(api.patch(f"/queues/{worker.queue}", json={"rate_limit": rate}), 422, "invalid-input")
    assert document["errors"][0]["field"] == f"rate_limit.{field}"


@pytest.mark.parametrize("bad", ["", "a\0b", "x" * 201, 7])
def test_a_rate_key_that_cannot_be_stored_is_refused(api: httpx.Client, bad: object) -> None:
    document = problem(
        api.post("/tasks", json={"task_type": "echo", "input": {}, "rate_key": bad}), 422, "invalid-input"
    )
    assert document["errors"][0]["field"] == "rate_key"
