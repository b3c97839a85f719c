"""A batch is accepted as a whole or not at all, and once, whatever dies in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from longrun_client import Longrun
from tests.fault.link import Link
from tests.harness import Harness, connect, environment
from tests.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.fault

SIZE = 500


def tasks(apart: Harness, count: int = SIZE, **options: Any) -> Iterator[dict[str, Any]]:
    return ({"task_type": "echo", "input": {"n": n}, "queue": apart.queue, **options} for n in range(count))


def post(url: str, items: Iterator[dict[str, Any]], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return httpx.post(f"{url}/tasks:batch", json={"items": list(items)}, headers=headers, timeout=60)


def stored(apart: Harness) -> list[str]:
    """The jobs of the queue, in the order of their ids."""
    rows = apart.sql("SELECT id FROM jobs WHERE queue = %s ORDER BY id", apart.queue)
    return [str(row["id"]) for row in rows]


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == httpx.codes.OK, response.text
    return [item["task"]["task_id"] for item in response.json()["items"]]


def behind(apart: Harness, link: Link) -> Process:
    """An API that reaches the database through the link, and whose few connections have prepared their statements."""
    few = {"DATABASE_URL": link.url, "LONGRUN_DATABASE_POOL_SIZE": "3"}
    api = apart.stack.api(env={**environment(apart.stack.folder), **few})
    warm = [{"task_type": "echo", "input": {}, "queue": f"{apart.queue}-warm"}] * 100
    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(lambda _: post(api.url, iter(warm)), range(18)):
            assert answer.status_code == httpx.codes.OK
    return api


def test_an_api_that_is_killed_between_commit_and_answer_leaves_an_exact_repetition(apart: Harness) -> None:
    key = uuid4().hex
    with Link(apart.stack.database_url) as link:
        doomed = behind(apart, link)
        with link.held(replies_only=True), ThreadPoolExecutor(1) as pool:
            lost = pool.submit(post, doomed.url, tasks(apart), key)
            until(lambda: stored(apart), what="the batch is committed")
            doomed.kill_group()
            assert isinstance(lost.exception(), httpx.TransportError)
    made = stored(apart)
    assert len(made) == SIZE
    repeated = post(str(apart.api.base_url), tasks(apart), key)
    assert (ids(repeated), repeated.headers["idempotency-replayed"]) == (made, "true")
    assert stored(apart) == made


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_api_that_is_killed_within_its_transaction_leaves_all_or_nothing(apart: Harness, goes_on: bool) -> None:
    """The batch waits for a job with one of its dedupe keys, which another transaction makes, when its API dies."""
    key, dedupe_key = uuid4().hex, uuid4().hex
    batch = [*tasks(apart), *tasks(apart, 1, dedupe_key=dedupe_key)]
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    hold = """
        INSERT INTO jobs (id, task_type, queue, status, ready, run_at, rank, input, max_attempts, dedupe_key)
        VALUES (gen_random_uuid(), 'echo', 'held', 'PENDING', false, now(), now(), '{}', 1, %s)
    """
    doomed = apart.stack.api()
    with closing(connect(apart.stack.database_url)) as holder, ThreadPoolExecutor(1) as pool:
        holder.cursor().execute(hold, [dedupe_key])
        lost = pool.submit(post, doomed.url, iter(batch), key)
        until(lambda: apart.sql(waiting), what="the batch waits")
        doomed.kill_group()
        assert isinstance(lost.exception(), httpx.TransportError)
        if goes_on:
            holder.rollback()
        until(lambda: not apart.sql(waiting), what="the transaction of the batch has ended")
        holder.rollback()
    until(lambda: len(stored(apart)) in (0, len(batch)), what="the batch is there or not")
    assert ids(post(str(apart.api.base_url), iter(batch), key)) == stored(apart)
    assert len(stored(apart)) == len(batch)


def test_a_commit_whose_reply_was_lost_is_found_again(apart: Harness) -> None:
    with Link(apart.stack.database_url) as link:
        api = behind(apart, link)
        with ThreadPoolExecutor(1) as pool:
            with link.held(replies_only=True):
                sent = pool.submit(post, api.url, tasks(apart))
                until(lambda: stored(apart), what="the batch is committed")
                link.cut()
            assert ids(sent.result()) == stored(apart)
    assert len(stored(apart)) == SIZE


def test_an_api_without_its_database_accepts_nothing(apart: Harness) -> None:
    with Link(apart.stack.database_url) as link:
        api = behind(apart, link)
        with link.held():
            refused = post(api.url, tasks(apart))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    until(lambda: len(stored(apart)) in (0, SIZE), what="the batch is there or not")


def test_submit_many_outlasts_the_restart_of_its_api(apart: Harness) -> None:
    first, second = apart.stack.api(), apart.stack.api()
    with (
        Link(first.url) as link,
        Longrun(link.url.rstrip("/")) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        with link.held(replies_only=True):
            submitted = pool.submit(lambda: [task.task_id for task in client.submit_many(tasks(apart, 3500))])
            until(lambda: stored(apart), what="the first chunk is committed")
            first.kill_group()
            link.lead_to(second.url)
        assert submitted.result() == stored(apart)
    assert len(stored(apart)) == 3500
