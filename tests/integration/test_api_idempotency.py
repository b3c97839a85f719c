"""`Idempotency-Key`: a POST that is repeated has one effect and gets one answer, whatever happened in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg2
import pytest
import redis

from jobcore.store import workers
from longrun_local.valkey import EmbeddedValkey
from tests.harness import connect, sql
from tests.integration.hand_worker import HandWorker
from tests.integration.raw_http import Answer, exchange
from tests.integration.test_api_submit import fields, problem
from tests.processes import Stack
from tests.waiting import PATIENCE_S, until

KEY = "Idempotency-Key"
CLIENTS = 1000


@pytest.fixture
def queue() -> str:
    """A queue of this test alone."""
    return f"keys-{uuid4().hex[:12]}"


def post(api: httpx.Client, queue: str, key: str, **options: Any) -> httpx.Response:
    body = {"task_type": "echo", "input": {"n": 1}, "queue": queue, **options}
    return api.post("/tasks", json=body, headers={KEY: key})


def ids(api: httpx.Client, stack: Stack, queue: str) -> list[str]:
    """The tasks of the queue."""
    return [str(row["id"]) for row in sql(stack.database_url, "SELECT id FROM jobs WHERE queue = %s", queue)]


def same(first: httpx.Response, again: httpx.Response) -> None:
    """Check that one answer repeats the other."""
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")


def test_a_repeated_request_gets_the_first_answer_and_makes_no_second_task(
    api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    first = post(api, queue, f'"{queue}"')
    assert first.status_code == 202
    same(first, post(api, queue, f'"{queue}"'))
    same(first, post(api, queue, queue))
    assert ids(api, shared_stack, queue) == [first.json()["task_id"]]


def test_the_same_body_in_another_layout_is_the_same_request(api: httpx.Client, queue: str) -> None:
    head = {KEY: queue, "content-type": "application/json"}
    one = f'{{"task_type": "echo", "queue": "{queue}", "input": {{"a": 1, "b": [1.0, "ü"]}}}}'
    other = f'{{"input":{{"b":[1.0,"\\u00fc"],  "a":1}},\n"queue":"{queue}","task_type":"echo"}}'
    same(api.post("/tasks", content=one, headers=head), api.post("/tasks", content=other, headers=head))


def test_another_body_with_the_same_key_is_refused(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    first = post(api, queue, queue)
    problem(post(api, queue, queue, priority=3), 422, "idempotency-key-reused")
    same(first, post(api, queue, queue))
    assert len(ids(api, shared_stack, queue)) == 1


def test_a_repeated_answer_warns_of_what_the_first_one_did(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    def warns() -> bool:
        return "warnings" in api.post("/tasks", json={"task_type": "echo", "input": {}, "queue": queue}).json()

    until(warns, what="the workers were read")
    unserved = post(api, queue, f"{queue}-unserved")
    assert unserved.json()["warnings"][0]["cause"] == "queue_not_served"
    with HandWorker(shared_stack.database_url, shared_stack.redis_url, queue) as worker:
        until(lambda: not warns(), what="the new worker was seen")
        served = post(api, queue, f"{queue}-served")
        assert "warnings" not in served.json()
        same(unserved, post(api, queue, f"{queue}-unserved"))
        worker.db.call(workers.leave, worker.id)
    until(warns, what="the worker's end was seen")
    same(served, post(api, queue, f"{queue}-served"))


@pytest.mark.parametrize("value", [b"", b'""', b'"a', b"a b", b"a, b", b"\xfc", b"x" * 256])
def test_a_malformed_key_is_refused_and_nothing_is_stored(
    api: httpx.Client, api_url: str, shared_stack: Stack, queue: str, value: bytes
) -> None:
    body = f'{{"task_type": "echo", "input": {{}}, "queue": "{queue}"}}'.encode()
    host = api_url.removeprefix("http://").encode()
    head = b"POST /tasks HTTP/1.1\r\nHost: %b\r\nConnection: close\r\nContent-Type: application/json\r\n" % host
    for keys in (b"Idempotency-Key: %b\r\n" % value, b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n"):
        answer = exchange(api_url, head + keys + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert (answer.status, answer.slug) == (400, "malformed-idempotency-key")
    assert ids(api, shared_stack, queue) == []


def test_a_request_that_was_refused_does_not_use_up_its_key(api: httpx.Client, queue: str) -> None:
    refused = post(api, queue, queue, priority=10)
    assert "priority" in fields(problem(refused, 422, "invalid-input"))
    problem(
        api.post("/tasks", content="{", headers={KEY: queue, "content-type": "application/json"}), 400, "malformed-json"
    )
    accepted = post(api, queue, queue)
    assert accepted.status_code == 202
    same(accepted, post(api, queue, queue))


def test_what_was_accepted_is_answered_again_though_it_came_too_late_now(api: httpx.Client, queue: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    first = post(api, queue, queue, expires_at=soon.isoformat())
    assert first.status_code == 202
    late = post(api, queue, "another", expires_at=soon.isoformat())
    while late.status_code == 202:
        late = post(api, queue, uuid4().hex, expires_at=soon.isoformat())
    assert "expires_at" in fields(problem(late, 422, "invalid-input"))
    same(first, post(api, queue, queue, expires_at=soon.isoformat()))


def test_a_post_that_takes_no_key_refuses_it_and_other_methods_need_none(api: httpx.Client, queue: str) -> None:
    head = {KEY: queue}
    assert api.get("/tasks", headers=head).status_code == 200
    assert api.put(f"/concurrency-limits/{queue}", json={"max_running": 2}, headers=head).status_code == 200
    assert api.delete(f"/concurrency-limits/{queue}", headers=head).status_code == 204
    for path, methods in api.get("/openapi.json").json()["paths"].items():
        parameters = methods.get("post", {}).get("parameters", [])
        if "post" in methods and KEY not in [parameter["name"] for parameter in parameters]:
            here = path.replace("{task_id}", str(uuid4()))
            problem(api.post(here, headers=head), 400, "header-not-supported")


def test_a_key_in_use_is_waited_for_and_then_refused_and_holds_up_nobody_else(
    api_url: str, shared_stack: Stack, queue: str
) -> None:
    """A transaction holds the key, as a process does that was cut off inside one."""
    claim = "INSERT INTO idempotency_keys (key, fingerprint) VALUES (%s, sha256('other'))"
    body = {"task_type": "echo", "input": {}, "queue": queue}

    async def run(holder: psycopg2.extensions.connection) -> None:
        async with httpx.AsyncClient(base_url=api_url, timeout=30) as client:
            held = [client.post("/tasks", json=body, headers={KEY: queue}) for _ in range(5)]
            others = [client.post("/tasks", json=body, headers={KEY: f"{queue}-{n}"}) for n in range(5)]
            answers = await asyncio.gather(*held, *others, client.post("/tasks", json=body))
            for answer in answers[:5]:
                problem(answer, 409, "idempotency-key-in-use")
                assert int(answer.headers["retry-after"]) >= 1
            assert [answer.status_code for answer in answers[5:]] == [202] * 6
            holder.rollback()
            first = await client.post("/tasks", json=body, headers={KEY: queue})
            assert first.status_code == 202
            same(first, await client.post("/tasks", json=body, headers={KEY: queue}))

    with closing(connect(shared_stack.database_url)) as holder:
        holder.cursor().execute(claim, [queue])
        asyncio.run(run(holder))


def test_a_thousand_requests_with_one_key_at_several_apis_make_one_task(
    api_url: str, api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    urls = [api_url, shared_stack.api().url, shared_stack.api().url]
    body = f'{{"task_type": "echo", "input": {{"n": 1}}, "queue": "{queue}"}}'

    async def send(url: str) -> Answer:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST /tasks HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"{KEY}: {queue}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        try:
            return Answer.of(await reader.read())
        finally:
            writer.close()

    async def send_all() -> list[Answer]:
        return await asyncio.gather(*map(send, islice(cycle(urls), CLIENTS)))

    answers = asyncio.run(asyncio.wait_for(send_all(), 2 * PATIENCE_S))
    assert {answer.status for answer in answers} == {202}
    [task] = ids(api, shared_stack, queue)
    [answered] = {answer.body for answer in answers}
    assert json.loads(answered)["task_id"] == task
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_a_repeated_retry_runs_the_task_once_more_and_not_twice(
    api: httpx.Client, worker: HandWorker, submit: Callable[..., str]
) -> None:
    here, head = submit(max_attempts=1), {KEY: uuid4().hex}
    problem(api.post(f"{here}/retry", headers=head), 409, "task-not-retryable")
    worker.fail(worker.claim(), "no")
    first = api.post(f"{here}/retry", headers=head)
    assert (first.status_code, first.json()["status"]) == (202, "PENDING")
    worker.fail(worker.claim(), "again")
    same(first, api.post(f"{here}/retry", headers=head))
    assert api.get(here).json()["status"] == "FAILED", "the repeated request ran it again"
    assert api.post(f"{here}/retry", headers={KEY: uuid4().hex}).status_code == 202
    problem(api.post(f"{submit()}/retry", headers=head), 422, "idempotency-key-reused")


def test_a_repeated_creation_of_a_schedule_is_answered_as_created(api: httpx.Client, queue: str) -> None:
    body = {"name": queue, "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}, "queue": queue}}
    first = api.post("/schedules", json=body, headers={KEY: queue})
    assert first.status_code == 201
    same(first, api.post("/schedules", json=body, headers={KEY: queue}))
    problem(api.post("/schedules", json=body, headers={KEY: uuid4().hex}), 409, "schedule-exists")
    problem(api.post("/schedules", json=body | {"name": "x"}, headers={KEY: queue}), 422, "idempotency-key-reused")


def test_what_was_created_is_answered_again_by_an_api_that_would_refuse_it(
    api: httpx.Client, shared_stack: Stack, queue: str, tmp_path: Path
) -> None:
    (tmp_path / "newer.py").write_text("from jobcore import task\n\n\n@task\ndef newer() -> None:\n    pass\n")
    task = {"task_type": "newer", "input": {}, "queue": queue}
    bodies = {"/schedules": {"name": queue, "cron": "0 0 1 1 *", "task": task}, "/tasks": task}
    newer = shared_stack.api(env={"LONGRUN_TASKS": str(tmp_path / "newer.py")})
    try:
        for path, body in bodies.items():
            problem(api.post(path, json=body, headers={KEY: queue + path}), 422, "unknown-task-type")
            first = httpx.post(newer.url + path, json=body, headers={KEY: queue + path})
            assert first.status_code in (201, 202), first.text
            same(first, api.post(path, json=body, headers={KEY: queue + path}))
            problem(api.post(path, json=body, headers={KEY: uuid4().hex}), 422, "unknown-task-type")
    finally:
        newer.kill_group()


def test_a_repeated_run_of_a_schedule_submits_one_task(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    body = {"name": queue, "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}, "queue": queue}}
    here = api.post("/schedules", json=body).json()["links"]["self"]
    first = api.post(f"{here}/run", headers={KEY: queue})
    assert first.status_code == 202
    same(first, api.post(f"{here}/run", headers={KEY: queue}))
    assert ids(api, shared_stack, queue) == [first.json()["task_id"]]
    head = {KEY: queue, "if-match": api.get(here).headers["etag"]}
    api.patch(here, json={"cron": "0 0 2 1 *"}).raise_for_status()
    same(first, api.post(f"{here}/run", headers=head))
    api.delete(here).raise_for_status()
    same(first, api.post(f"{here}/run", headers={KEY: queue}))
    problem(api.post(f"{here}/run", headers={KEY: uuid4().hex}), 404, "schedule-not-found")
    problem(api.post(f"{here}/run"), 404, "schedule-not-found")


def test_a_repeated_pause_does_not_undo_what_came_between(api: httpx.Client, queue: str) -> None:
    body = {"name": queue, "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}, "queue": queue}}
    here = api.post("/schedules", json=body).json()["links"]["self"]
    first = {action: api.post(f"{here}/{action}", headers={KEY: queue + action}) for action in ("pause", "resume")}
    api.post(f"{here}/pause").raise_for_status()
    api.patch(here, json={"cron": "0 0 2 1 *"}).raise_for_status()
    for action, answer in first.items():
        again = api.post(f"{here}/{action}", headers={KEY: queue + action, "if-match": first["pause"].headers["etag"]})
        assert (again.status_code, again.content) == (200, answer.content)
        assert ("idempotency-replayed" in answer.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert api.get(here).json()["paused"] is True
    problem(api.post(f"{here}/pause", headers={KEY: queue + "resume"}), 422, "idempotency-key-reused")
    api.delete(here).raise_for_status()
    assert api.post(f"{here}/pause", headers={KEY: queue + "pause"}).content == first["pause"].content
    problem(api.post(f"{here}/pause", headers={KEY: uuid4().hex}), 404, "schedule-not-found")


def test_keys_and_answers_survive_the_loss_of_redis(
    api: httpx.Client, shared_stack: Stack, queue: str, redis_server: EmbeddedValkey
) -> None:
    first = post(api, queue, queue)
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    same(first, post(api, queue, queue))
    assert len(ids(api, shared_stack, queue)) == 1
