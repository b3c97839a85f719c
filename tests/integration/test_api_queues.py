"""`/queues` and `/concurrency-limits`: looking, pausing, limiting, and every mistake that can be made there."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from uuid import uuid4

import httpx
import pytest

from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import until

Submit = Callable[..., str]


def queue(api: httpx.Client, name: str) -> dict[str, object]:
    found = api.get(f"/queues/{name}").raise_for_status().json()
    assert name in [item["name"] for item in api.get("/queues").json()["items"]]
    return {key: found[key] for key in ("paused", "max_running", "ready", "blocked", "running")}


def until_queue_has(api: httpx.Client, name: str, **wanted: object) -> None:
    until(lambda: wanted.items() <= queue(api, name).items(), what=lambda: f"{wanted}: {queue(api, name)}")


def test_a_limit_of_a_queue_holds_tasks_back_until_it_is_taken_away(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    changed = api.patch(f"/queues/{worker.queue}", json={"max_running": 1})
    assert (changed.status_code, changed.json()["max_running"]) == (200, 1)
    for _ in range(3):
        submit()
    until_queue_has(api, worker.queue, ready=1, blocked=2)
    worker.claim()
    until_queue_has(api, worker.queue, ready=0, blocked=2, running=1)
    assert api.patch(f"/queues/{worker.queue}", json={"max_running": None}).json()["max_running"] is None
    until_queue_has(api, worker.queue, ready=2, blocked=0, running=1)


def test_a_change_leaves_alone_what_it_does_not_name(api: httpx.Client, worker: HandWorker) -> None:
    here = f"/queues/{worker.queue}"
    api.patch(here, json={"max_running": 7})
    assert api.patch(here, json={"paused": True}).json()["max_running"] == 7
    assert api.patch(here, json={}).json()["paused"] is True


def test_tasks_of_a_key_run_one_at_a_time_or_as_many_as_its_limit(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    key = f"crm/{uuid4()}"
    limit = {"key": key, "owner": None, "max_running": 2}
    paths = [submit(concurrency_key=key) for _ in range(3)]
    assert api.get(paths[0]).json()["concurrency_key"] == key
    until_queue_has(api, worker.queue, ready=1, blocked=2)
    assert api.put(f"/concurrency-limits/{key}", json={"max_running": 2}).json() == limit
    until_queue_has(api, worker.queue, ready=2, blocked=1)
    assert limit in api.get("/concurrency-limits").json()["items"]
    assert api.delete(f"/concurrency-limits/{key}").status_code == 204
    after = api.get("/concurrency-limits", params={"after": key[:-1]}).json()["items"]
    assert key not in [limit["key"] for limit in after]


def test_limits_are_paged(api: httpx.Client) -> None:
    keys = [f"page-{number}" for number in range(3)]
    for key in keys:
        api.put(f"/concurrency-limits/{key}", json={"max_running": 1})
    first = api.get("/concurrency-limits", params={"after": "page-", "limit": 2}).json()
    assert ([item["key"] for item in first["items"]], first["next"]) == (keys[:2], keys[1])
    rest = api.get("/concurrency-limits", params={"after": first["next"], "limit": 2}).json()
    assert (rest["items"][0]["key"], rest["next"]) == (keys[2], None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"paused": None}, "paused"),
        ({"paused": "yes"}, "paused"),
        ({"max_running": -1}, "max_running"),
        ({"max_running": 1.5}, "max_running"),
        ({"limit": 3}, "limit"),
    ],
)
def test_a_wrong_change_names_the_field_and_changes_nothing(
    api: httpx.Client, worker: HandWorker, body: dict[str, object], field: str
) -> None:
    api.patch(f"/queues/{worker.queue}", json={"max_running": 3})
    document = problem(api.patch(f"/queues/{worker.queue}", json=body), 422, "invalid-input")
    assert [error["field"] for error in document["errors"]] == [field]
    assert queue(api, worker.queue)["max_running"] == 3


def test_mistakes_are_told(api: httpx.Client) -> None:
    problem(api.get("/queues/never-used"), 404, "queue-not-found")
    problem(api.patch("/queues/Not A Queue", json={"paused": True}), 422, "invalid-input")
    problem(api.put("/concurrency-limits/k", json={}), 422, "invalid-input")
    document = problem(
        api.post("/tasks", json={"task_type": "echo", "input": {}, "concurrency_key": "a\0b"}), 422, "invalid-input"
    )
    assert document["errors"][0]["field"] == "concurrency_key"


def test_a_paused_queue_runs_nothing_and_goes_on_at_once_when_it_is_resumed(
    api: httpx.Client, shared_stack: Stack
) -> None:
    name = f"paused-{uuid4().hex[:8]}"
    shared_stack.worker(env={"LONGRUN_QUEUES": name})
    api.patch(f"/queues/{name}", json={"paused": True})
    body = {"task_type": "echo", "input": {}, "queue": name}
    here = api.post("/tasks", json=body).raise_for_status().headers["location"]
    time.sleep(2.5)  # the keeper looks each second: that it does nothing can only be waited for
    assert api.get(here).json()["status"] == "PENDING"
    api.patch(f"/queues/{name}", json={"paused": False})
    until(lambda: api.get(here).json()["status"] == "SUCCESS", what="the task ran")


def test_tasks_of_a_key_never_overlap_on_real_workers_and_follow_each_other_without_a_pause(
    api: httpx.Client, shared_stack: Stack
) -> None:
    name, key, count = f"keyed-{uuid4().hex[:8]}", str(uuid4()), 12
    shared_stack.worker(concurrency=4, env={"LONGRUN_QUEUES": name})
    body = {
        "task_type": "sleep", "input": {"seconds": 0.1, "steps": 1}, "queue": name, "concurrency_key": key,
    }  # fmt: skip
    paths = [api.post("/tasks", json=body).raise_for_status().headers["location"] for _ in range(count)]
    until_queue_has(api, name, ready=0, blocked=0, running=0)
    tasks = [api.get(path).json() for path in paths]
    assert {task["status"] for task in tasks} == {"SUCCESS"}
    spans = sorted((task["started_at"], task["finished_at"]) for task in tasks)
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans)), spans
