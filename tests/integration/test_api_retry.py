"""`POST /tasks/{id}/retry` and `GET /tasks/{id}/attempts`, and what a stream makes of a job that ends twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from longrun_client import Longrun
from tests.integration.appending import append_events
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_stream import story, streaming
from tests.integration.test_api_submit import fields, problem

Submit = Callable[..., str]


def failed(worker: HandWorker, submit: Submit, **options: object) -> str:
    here = submit(**options)
    worker.fail(worker.claim(), "no")
    return here


def test_a_failed_task_is_tried_again_under_its_id(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = failed(worker, submit, max_attempts=1)
    answer = api.post(f"{here}/retry")
    assert (answer.status_code, answer.headers["location"], answer.headers["retry-after"]) == (202, here, "1")
    task = answer.json()
    assert (task["status"], task["attempt"], task["tries"], task["seq"]) == ("PENDING", 1, 0, 4)
    assert (task["finished_at"], task["error"]["message"]) == (None, "no")
    worker.finish(worker.claim(), {"n": 2})
    done = api.get(here).json()
    assert (done["status"], done["attempt"], done["tries"], done["result"]) == ("SUCCESS", 2, 1, {"n": 2})


def test_a_task_that_cannot_be_retried_is_told_why(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    assert "it will run by itself" in problem(api.post(f"{here}/retry"), 409, "task-not-retryable")["detail"]
    claim = worker.claim()
    assert "it is RUNNING" in problem(api.post(f"{here}/retry"), 409, "task-not-retryable")["detail"]
    worker.finish(claim)
    assert "submit a new task" in problem(api.post(f"{here}/retry"), 409, "task-not-retryable")["detail"]
    problem(api.post("/tasks/01890000-0000-7000-8000-000000000000/retry"), 404, "task-not-found")


def test_a_cancelled_task_is_retried_once_it_has_stopped(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    claim = worker.claim()
    api.delete(here)
    early = api.post(f"{here}/retry")
    assert "still stopping" in problem(early, 409, "task-not-retryable")["detail"]
    assert early.headers["retry-after"] == "1"
    worker.stopped(claim.id, claim.fence, "cooperative")
    assert api.post(f"{here}/retry").json()["cancel"] is None
    assert api.delete(here).json()["cancel"]["method"] == "queued"


def test_of_two_retries_at_once_one_is_accepted(api_url: str, worker: HandWorker, submit: Submit) -> None:
    for _ in range(10):
        here = failed(worker, submit)
        barrier = Barrier(2)

        def post(_number: int, here: str = here, barrier: Barrier = barrier) -> int:
            with httpx.Client(base_url=api_url, timeout=30) as client:
                barrier.wait()
                return client.post(f"{here}/retry").status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(post, range(2))) == [202, 409]
        worker.fail(worker.claim(), "no")


def test_attempts_tell_when_where_and_why(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = submit()
    assert api.get(f"{here}/attempts").json() == {"items": [], "next_after": 0}
    claim = worker.claim()
    worker.say(claim, "log", {"level": "error", "message": "Traceback: no", "traceback": True})
    worker.fail(claim, "no")
    api.post(f"{here}/retry")
    worker.claim()
    page = api.get(f"{here}/attempts").json()
    first, second = page["items"]
    assert (first["attempt"], first["outcome"], first["worker"]) == (
        1,
        "failed",
        {"id": str(worker.id), "host": "here"},
    )
    assert first["error"] == {
        "kind": "raised",
        "type": "ValueError",
        "message": "no",
        "attempt": 1,
        "traceback": "Traceback: no",
    }
    assert (second["attempt"], second["outcome"], second["ended_at"], second["error"]) == (2, "running", None, None)
    assert page["next_after"] == second["seq"]
    assert api.get(f"{here}/attempts?limit=1").json() == {"items": [first], "next_after": first["seq"]}
    assert api.get(f"{here}/attempts?after={first['seq']}").json()["items"] == [second]
    assert list(fields(problem(api.get(f"{here}/attempts?limit=0"), 422, "invalid-input"))) == ["limit"]
    problem(api.get("/tasks/01890000-0000-7000-8000-000000000000/attempts"), 404, "task-not-found")


def test_a_stream_that_ended_is_resumed_and_goes_on_with_the_new_attempt(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = failed(worker, submit)
    assert api.get(f"{here}/stream", headers={"last-event-id": "3"}).status_code == 204
    api.post(f"{here}/retry")
    with streaming(api, here, headers={"last-event-id": "3"}) as events:
        retried = next(events)
        assert (retried.id, json.loads(retried.data)["reason"]) == ("4", "manual")
        claim = worker.claim()
        assert next(events).id == "5"
        worker.finish(claim)
        assert story(events) == [("6", "state")]
    assert api.get(f"{here}/stream", headers={"last-event-id": "6"}).status_code == 204


def test_a_replay_goes_past_an_end_that_was_not_the_last(api: httpx.Client, worker: HandWorker, submit: Submit) -> None:
    here = failed(worker, submit)
    api.post(f"{here}/retry")
    worker.finish(worker.claim())
    with streaming(api, here) as events:
        states = [json.loads(event.data) for event in events]
    assert [state["seq"] for state in states] == [1, 2, 3, 4, 5, 6]
    assert [state.get("retried", False) for state in states] == [False, False, True, False, False, False]


@pytest.mark.parametrize("before", [194, 195, 196, 197, 198])
def test_an_end_at_the_end_of_a_page_is_told_apart_too(
    api: httpx.Client, worker: HandWorker, submit: Submit, before: int
) -> None:
    from jobcore.models import NewEvent

    here = submit()
    claim = worker.claim()
    lines = [NewEvent("log", {"level": "info", "message": "x"})] * before
    worker.db.call(append_events, claim.id, claim.fence, lines)
    worker.fail(claim, "no")
    with streaming(api, here) as events:
        assert len(story(events)) == before + 3
    api.post(f"{here}/retry")
    worker.finish(worker.claim())
    with streaming(api, here) as events:
        assert len(story(events)) == before + 6


def test_a_client_follows_past_an_end_that_was_not_the_last(api_url: str, worker: HandWorker, submit: Submit) -> None:
    task_id = failed(worker, submit).rpartition("/")[2]
    with Longrun(api_url) as client:
        assert [event.seq for event in client.stream(task_id)] == [1, 2, 3]
        assert client.retry(task_id).status == "PENDING"
        worker.finish(worker.claim())
        assert [event.seq for event in client.stream(task_id)] == [1, 2, 3, 4, 5, 6]
        assert [event.seq for event in client.stream(task_id, after=3)] == [4, 5, 6]
        assert [attempt.outcome for attempt in client.attempts(task_id)] == ["failed", "success"]


def test_a_tasks_own_backoff_is_shown_and_reaches_its_runs(
    api: httpx.Client, worker: HandWorker, submit: Submit
) -> None:
    here = submit(retry={"backoff_s": 7, "jitter": 0})
    assert api.get(here).json()["retry"] == {"backoff_s": 7, "backoff_max_s": None, "jitter": 0}
    assert worker.claim().retry == {"backoff_s": 7, "jitter": 0}
    assert api.get(submit()).json()["retry"] is None
    assert worker.claim().retry is None
