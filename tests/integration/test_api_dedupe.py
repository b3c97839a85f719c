"""`dedupe_key`: while a task with the key is live, it is the answer to every further submission with the key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

import httpx
import pytest

from tests.harness import connect
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_idempotency import same
from tests.integration.test_api_submit import problem
from tests.processes import Stack

Submit = Callable[..., str]


@pytest.fixture
def dedupe_key() -> str:
    """A key of this test alone."""
    return f"invoice-{uuid4()}"


@pytest.fixture
def again(api: httpx.Client, worker: HandWorker, dedupe_key: str) -> Callable[..., httpx.Response]:
    """Submits a task with the dedupe key."""

    def post(key: str | None = None) -> httpx.Response:
        body = {"task_type": "echo", "input": {}, "queue": worker.queue, "dedupe_key": dedupe_key}
        return api.post("/tasks", json=body, headers={"Idempotency-Key": key} if key else {})

    return post


def test_a_live_task_is_the_answer_until_it_has_ended(
    api: httpx.Client, worker: HandWorker, submit: Submit, dedupe_key: str, again: Callable[..., httpx.Response]
) -> None:
    here = submit(dedupe_key=dedupe_key)
    assert api.get(here).json()["dedupe_key"] == dedupe_key
    waiting = again()
    assert (waiting.status_code, waiting.headers["location"]) == (200, here)
    assert (waiting.json()["deduplicated"], waiting.json()["status"]) == (True, "PENDING")
    claim = worker.claim()
    assert (again().json()["status"], again().json()["task_id"]) == ("RUNNING", here.rpartition("/")[2])
    worker.finish(claim)
    after = again()
    assert (after.status_code, "deduplicated" in after.json()) == (202, False)
    assert after.headers["location"] != here


def test_the_answer_of_a_deduplicated_request_is_repeated_though_the_task_has_ended(
    worker: HandWorker, submit: Submit, dedupe_key: str, again: Callable[..., httpx.Response]
) -> None:
    submit(dedupe_key=dedupe_key)
    key = uuid4().hex
    first = again(key)
    assert first.json()["deduplicated"]
    worker.finish(worker.claim())
    same(first, again(key))


def test_of_many_submissions_at_several_apis_one_makes_a_task(
    api_url: str, shared_stack: Stack, worker: HandWorker, dedupe_key: str
) -> None:
    urls = [api_url, shared_stack.api().url]
    body = {"task_type": "echo", "input": {}, "queue": worker.queue, "dedupe_key": dedupe_key}

    def post(number: int) -> httpx.Response:
        head = {"Idempotency-Key": uuid4().hex} if number % 3 else {}
        return httpx.post(f"{urls[number % 2]}/tasks", json=body, headers=head, timeout=60)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(post, range(120)))
    assert sorted(answer.status_code for answer in answers) == [200] * 119 + [202]
    assert len({answer.json()["task_id"] for answer in answers}) == 1


def test_a_retry_is_refused_while_another_task_with_the_key_is_live(
    api: httpx.Client, worker: HandWorker, submit: Submit, dedupe_key: str
) -> None:
    here = submit(dedupe_key=dedupe_key, max_attempts=1)
    worker.fail(worker.claim(), "no")
    submit(dedupe_key=dedupe_key)
    key = {"Idempotency-Key": uuid4().hex}
    for headers in ({}, key):
        assert "dedupe_key" in problem(api.post(f"{here}/retry", headers=headers), 409, "dedupe-key-taken")["detail"]
    worker.finish(worker.claim())
    assert api.post(f"{here}/retry", headers=key).status_code == 202


def test_a_key_that_a_transaction_holds_holds_up_nobody_else(
    api: httpx.Client,
    shared_stack: Stack,
    worker: HandWorker,
    submit: Submit,
    dedupe_key: str,
    again: Callable[..., httpx.Response],
) -> None:
    here = submit()
    with closing(connect(shared_stack.database_url)) as holder, ThreadPoolExecutor(8) as pool:
        job_id = here.rpartition("/")[2]
        holder.cursor().execute("UPDATE jobs SET dedupe_key = %s WHERE id = %s", [dedupe_key, job_id])
        held = [pool.submit(again) for _ in range(3)]
        others = [pool.submit(submit) for _ in range(5)]
        assert all(other.result() for other in others)
        for answer in held:
            problem(answer.result(), 409, "dedupe-key-in-use")
        holder.rollback()
    assert again().status_code == 202
