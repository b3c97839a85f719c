"""The answer to a submission is lost between commit and client: the repetition gets the same job and makes no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from longrun_client import Longrun
from tests.fault.link import Link
from tests.harness import Harness, environment
from tests.waiting import until

pytestmark = pytest.mark.fault


def stored(apart: Harness) -> list[str]:
    """The jobs of the queue."""
    return [str(row["id"]) for row in apart.sql("SELECT id FROM jobs WHERE queue = %s", apart.queue)]


def committed(apart: Harness, count: int = 1) -> bool:
    """Whether the queue has so many jobs."""
    return len(stored(apart)) == count


def test_an_api_that_is_killed_between_commit_and_answer_leaves_an_exact_repetition(apart: Harness) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    body: dict[str, Any] = {"task_type": "echo", "input": {}, "queue": apart.queue}
    with Link(apart.stack.database_url) as link:
        doomed = apart.stack.api(env={**environment(apart.stack.folder), "DATABASE_URL": link.url})
        # the intake has prepared its statement when the link is held
        warm = httpx.post(f"{doomed.url}/tasks", json=body, headers={"Idempotency-Key": uuid4().hex}, timeout=30)
        assert warm.status_code == httpx.codes.ACCEPTED
        with link.held(replies_only=True), ThreadPoolExecutor(1) as pool:
            lost = pool.submit(httpx.post, f"{doomed.url}/tasks", json=body, headers=key, timeout=60)
            until(lambda: committed(apart, 2), what="the job is committed")
            doomed.kill_group()
            assert isinstance(lost.exception(), httpx.TransportError)
    [job] = set(stored(apart)) - {warm.json()["task_id"]}
    repeated = apart.api.post("/tasks", json=body, headers=key)
    assert (repeated.status_code, repeated.json()["task_id"]) == (202, job)
    assert repeated.headers["idempotency-replayed"] == "true"
    assert committed(apart, 2)


def test_a_client_whose_connection_breaks_before_the_answer_gets_its_one_task(apart: Harness) -> None:
    with (
        Link(str(apart.api.base_url)) as link,
        Longrun(link.url.rstrip("/")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with link.held(replies_only=True):
            submitted = pool.submit(client.submit, "echo", {}, queue=apart.queue)
            until(lambda: committed(apart), what="the job is committed")
            link.cut()
        assert [submitted.result().task_id] == stored(apart)


def test_a_client_outlasts_the_restart_of_its_api(apart: Harness) -> None:
    first, second = apart.stack.api(), apart.stack.api()
    with (
        Link(first.url) as link,
        Longrun(link.url.rstrip("/")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with link.held(replies_only=True):
            submitted = pool.submit(client.submit, "echo", {}, queue=apart.queue, idempotency_key=apart.queue)
            until(lambda: committed(apart), what="the job is committed")
            first.kill_group()
            link.lead_to(second.url)
        assert [submitted.result().task_id] == stored(apart)
