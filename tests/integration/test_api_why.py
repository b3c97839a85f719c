"""`GET /tasks/{id}/why`, and what a submission and a queue say about workers that are not there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import httpx
import pytest

from jobcore.store import workers
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import until

Submit = Callable[..., str]


def why(api: httpx.Client, path: str) -> dict[str, object]:
    answer: dict[str, object] = api.get(f"{path}/why").raise_for_status().json()
    return answer


def test_a_task_says_why_it_does_not_run_and_by_whom_it_is_blocked(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    key = f"k/{uuid4()}"
    first, second = submit(concurrency_key=key), submit(concurrency_key=key)
    turn = why(api, first)
    assert (turn["cause"], turn["position"], turn["blocking"]) == ("turn", 1, [])
    blocked = why(api, second)
    assert blocked["cause"] == "concurrency_limit"
    assert blocked["blocking"] == [first.rpartition("/")[2]]
    assert "PUT /concurrency-limits/{key}" in str(blocked["freed_by"])
    claim = worker.claim()
    running = why(api, first)
    assert (running["cause"], running["status"], running["freed_by"]) == ("running", "RUNNING", None)
    assert running["since"] == api.get(first).json()["started_at"]
    worker.finish(claim)
    assert why(api, first)["cause"] == "ended"


def test_a_task_that_waits_for_its_time_says_when_it_comes(api: httpx.Client, submit: Submit) -> None:
    path = submit(delay_s=600)
    found = why(api, path)
    assert found["cause"] == "run_at"
    start = found["estimated_start"]
    assert isinstance(start, dict)
    assert (start["at"], start["method"]) == (api.get(path).json()["run_at"], "run_at")


def test_every_time_of_the_answer_has_an_offset(api: httpx.Client, submit: Submit) -> None:
    found = why(api, submit())
    assert datetime.fromisoformat(str(found["since"])).tzinfo is not None


def test_an_unknown_task_is_told(api: httpx.Client) -> None:
    problem(api.get(f"/tasks/{uuid4()}/why"), 404, "task-not-found")
    problem(api.get("/tasks/nothing/why"), 404, "task-not-found")


def warnings(api: httpx.Client, queue: str, **fields: object) -> list[str]:
    body = {"task_type": "echo", "input": {}, "queue": queue, **fields}
    accepted = api.post("/tasks", json=body).raise_for_status().json()
    found = accepted.get("warnings", [])
    assert all(queue in warning["detail"] for warning in found)
    return [warning["cause"] for warning in found]


def test_a_submission_to_a_queue_that_nobody_serves_is_accepted_with_a_warning_until_a_worker_serves_it(
    api: httpx.Client, shared_stack: Stack
) -> None:
    name = f"nobody-{uuid4().hex[:8]}"
    until(lambda: warnings(api, name) == ["queue_not_served"], what="the workers were read")
    assert api.get(f"/queues/{name}").json()["unserved"] > 0
    with HandWorker(shared_stack.database_url, shared_stack.redis_url, name) as worker:
        until(lambda: warnings(api, name) == [], what="the new worker was seen")
        assert "warnings" not in api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": name}).json()
        assert api.get(f"/queues/{name}").json()["unserved"] == 0
        worker.db.call(workers.leave, worker.id)
    until(lambda: warnings(api, name) == ["queue_not_served"], what="the worker's end was seen")


def test_a_task_type_that_no_worker_of_the_queue_has_is_told_everywhere(
    api: httpx.Client, shared_stack: Stack, worker: HandWorker
) -> None:
    until(lambda: warnings(api, worker.queue) == [], what="the worker was seen")
    worker.db.call(workers.leave, worker.id)
    with HandWorker(shared_stack.database_url, shared_stack.redis_url, worker.queue, task_types=["sleep"]):
        until(lambda: warnings(api, worker.queue) == ["task_type_unknown"], what="the other worker was seen")
        path = api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": worker.queue}).headers["location"]
        found = why(api, path)
        assert found["cause"] == "task_type_unknown"
        assert found["estimated_start"] is None
        assert api.get(f"/queues/{worker.queue}").json()["unserved"] > 0


def test_an_unused_queue_is_deleted_and_a_used_one_says_why_not(
    api: httpx.Client, shared_stack: Stack, worker: HandWorker, submit: Submit
) -> None:
    here = f"/queues/{worker.queue}"
    path = submit()
    assert "tasks" in problem(api.delete(here), 409, "queue-in-use")["detail"]
    api.delete(path).raise_for_status()
    assert "1 live workers" in problem(api.delete(here), 409, "queue-in-use")["detail"]
    worker.db.call(workers.leave, worker.id)
    api.patch(here, json={"paused": True, "max_running": 3}).raise_for_status()
    assert api.delete(here).status_code == 204
    problem(api.get(here), 404, "queue-not-found")
    problem(api.delete(here), 404, "queue-not-found")
    submit()
    assert api.get(here).json()["max_running"] is None, "a new queue of that name has no limit"


@pytest.mark.parametrize("name", ["Not A Queue", "a" * 64])
def test_a_name_that_is_none_is_told(api: httpx.Client, name: str) -> None:
    problem(api.delete(f"/queues/{name}"), 422, "invalid-input")
