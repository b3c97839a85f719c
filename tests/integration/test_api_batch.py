"""`POST /tasks:batch`: many tasks in one transaction, all or each by itself, and once however often it is sent."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from jobcore.broker.waker import MAX_WAITING
from longrun_local.valkey import EmbeddedValkey
from tests.harness import sql
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import fields, problem
from tests.processes import Stack
from tests.waiting import until

KEY = "Idempotency-Key"


@pytest.fixture
def queue() -> str:
    """A queue of this test alone."""
    return f"batch-{uuid4().hex[:12]}"


def task(queue: str, **options: Any) -> dict[str, Any]:
    return {"task_type": "echo", "input": {}, "queue": queue, **options}


def send(api: httpx.Client, items: Any, key: str | None = None, **members: Any) -> httpx.Response:
    headers = {} if key is None else {KEY: key}
    return api.post("/tasks:batch", json={"items": items, **members}, headers=headers)


def answered(response: httpx.Response) -> list[dict[str, Any]]:
    """What became of each task."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["refused"] == sum("problem" in item for item in body["items"])
    return list(body["items"])


def ids(response: httpx.Response) -> list[str]:
    return [item["task"]["task_id"] for item in answered(response)]


def stored(stack: Stack, queue: str) -> list[str]:
    """The tasks of the queue, in the order of their ids."""
    return [
        str(row["id"]) for row in sql(stack.database_url, "SELECT id FROM jobs WHERE queue = %s ORDER BY id", queue)
    ]


def test_each_task_is_stored_and_answered_as_by_itself(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    given = [task(queue, input={"n": number, "text": "ü"}, priority=number % 10) for number in range(1000)]
    items = answered(send(api, given))
    assert {item["status"] for item in items} == {202}
    assert [item["task"]["task_id"] for item in items] == stored(shared_stack, queue)
    single = api.post("/tasks", json=given[7]).json()
    one = items[7]["task"]
    assert one.keys() == single.keys()
    assert one["links"] == {
        name: path.replace(single["task_id"], one["task_id"]) for name, path in single["links"].items()
    }
    there = api.get(one["links"]["self"]).json()
    assert (there["input"], there["priority"], there["created_at"]) == ({"n": 7, "text": "ü"}, 7, one["created_at"])


def test_an_atomic_batch_with_invalid_tasks_stores_nothing_and_names_every_field(
    api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    wrong = [
        task(queue),
        task(queue, priority=10, tags=[""]),
        task(queue, input=7),
        "text",
        {"task_type": "echo"},
        task(queue, task_type="ecko"),
        task(queue, task_type="sleep", input={"seconds": "x"}),
        task(queue, queu="x"),
        task(queue, input={"a": "\0"}),
        task(queue, metadata={"long": "x" * 16_385}),
        task(queue, run_at="2026-11-24T12:00:00Z", delay_s=1),
    ]
    refused = problem(send(api, wrong, atomic=True), 422, "invalid-input")
    assert refused["detail"] == "10 of 11 tasks are not valid, so none was accepted"
    assert fields(refused).keys() == {
        *("items[1].priority", "items[1].tags[0]", "items[2].input", "items[3]", "items[4].input"),
        *("items[5].task_type", "items[6].input.seconds", "items[7].queu", "items[8].input.a", "items[9].metadata"),
        "items[10].delay_s",
    }
    assert stored(shared_stack, queue) == []


def test_without_atomic_each_task_is_accepted_or_refused_by_itself(
    api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    given = [task(queue), task(queue, priority=10), 5, task(queue, task_type="ecko"), task(queue)]
    items = answered(send(api, given, atomic=False))
    assert [item["status"] for item in items] == [202, 422, 422, 422, 202]
    assert [items[0]["task"]["task_id"], items[4]["task"]["task_id"]] == stored(shared_stack, queue)
    assert fields(items[1]["problem"]).keys() == {"items[1].priority"}
    assert fields(items[2]["problem"]).keys() == {"items[2]"}
    assert items[3]["problem"]["type"] == "urn:longrun:problem:unknown-task-type"
    assert {item["status"] for item in answered(send(api, [{}, {}], atomic=False))} == {422}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "items"),
        ({}, "items"),
        ({"items": {}}, "items"),
        ({"items": [{"task_type": "echo", "input": {}}] * 1001}, "items"),
        ({"items": [{}], "atomic": "yes"}, "atomic"),
        ({"items": [{}], "atomik": True}, "atomik"),
        ([], "body"),
    ],
)
def test_what_is_no_batch_is_refused_with_the_field(api: httpx.Client, body: Any, field: str) -> None:
    assert field in fields(problem(api.post("/tasks:batch", json=body), 422, "invalid-input"))


def test_the_bounds_of_a_body_are_those_of_one_task(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    huge = [task(queue), task(queue, input={"x": "x" * 1024 * 1024})]
    problem(send(api, huge), 413, "body-too-large")
    problem(send(api, [task(queue, input={"x": [0] * 60_000})]), 413, "body-too-large")
    problem(api.post("/tasks:batch", content=b"{", headers={"content-type": "application/json"}), 400, "malformed-json")
    problem(
        api.post("/tasks:batch", content=b"{}", headers={"content-type": "text/plain"}), 415, "unsupported-media-type"
    )
    assert stored(shared_stack, queue) == []


def test_the_answer_to_a_refused_batch_is_bounded(api: httpx.Client) -> None:
    wrong = {"task_type": "echo", "input": {}, "priority": 10, "max_attempts": 0, "timeout_s": 0}
    refused = send(api, [wrong] * 1000)
    assert len(problem(refused, 422, "invalid-input")["errors"]) == 200
    assert refused.json()["detail"].startswith("1,000 of 1,000")


def test_values_come_back_as_they_went_in(api: httpx.Client, queue: str) -> None:
    values = '[1e16, -0.0, 1e308, 12345678901234567890123, "\\ud83d\\ude00"]'
    body = f'{{"items": [{{"task_type": "echo", "queue": "{queue}", "input": {{"v": {values}}}}}]}}'
    response = api.post("/tasks:batch", content=body, headers={"content-type": "application/json"})
    single = api.post("/tasks", json={"task_type": "echo", "input": {}}).json()
    [made] = ids(response)
    text = api.get(single["links"]["self"].replace(single["task_id"], made)).text
    assert '"v":[1e+16,-0.0,1e+308,12345678901234567890123,"😀"]' in text.replace(", ", ",").replace(": ", ":")


def test_a_repeated_batch_gets_the_first_answer_and_makes_nothing(
    api: httpx.Client, shared_stack: Stack, queue: str, redis_server: EmbeddedValkey
) -> None:
    given = [task(queue), task(queue, priority=10), task(queue, dedupe_key=queue), task(queue, dedupe_key=queue)]
    first = send(api, given, queue, atomic=False)
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    again = send(api, given, queue, atomic=False)
    assert answered(again) == answered(first)
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert [item["status"] for item in answered(again)] == [202, 422, 202, 200]
    assert len(stored(shared_stack, queue)) == 2
    problem(send(api, given, queue), 422, "idempotency-key-reused")
    problem(api.post("/tasks", json=given[0], headers={KEY: queue}), 422, "idempotency-key-reused")
    assert len(stored(shared_stack, queue)) == 2


@pytest.mark.parametrize("value", ["9" * 1500, "1e400", "NaN", "[" * 150 + "]" * 150, '"\\u0000"'])
def test_a_value_that_cannot_be_stored_is_named_with_a_key_and_without(
    api: httpx.Client, queue: str, value: str
) -> None:
    body = f'{{"items": [{{"task_type": "echo", "input": {{"x": {value}}}}}], "atomic": false}}'
    for headers in ({}, {KEY: queue}):
        response = api.post("/tasks:batch", content=body, headers={"content-type": "application/json", **headers})
        [(field, _)] = fields(answered(response)[0]["problem"]).items()
        assert field.startswith("items[0].input.x")


def test_a_problem_with_any_text_is_repeated(api: httpx.Client, queue: str) -> None:
    given = [task(queue), {"task_type": "echo\0ü", "input": {}}, {"task_type": "echo", "input": {}, "q\0ü\\": 1}]
    first, again = (send(api, given, queue, atomic=False) for _ in range(2))
    assert [item["status"] for item in answered(first)] == [202, 422, 422]
    assert answered(again) == answered(first)


def test_the_key_of_one_task_is_no_key_of_a_batch(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    assert api.post("/tasks", json=task(queue), headers={KEY: queue}).status_code == 202
    problem(send(api, [task(queue)], queue), 422, "idempotency-key-reused")
    assert len(stored(shared_stack, queue)) == 1


def test_a_refused_batch_leaves_its_key_free(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    problem(send(api, [task(queue), {}], queue), 422, "invalid-input")
    problem(send(api, [task(queue)], "a b"), 400, "malformed-idempotency-key")
    assert len(ids(send(api, [task(queue)], queue))) == len(stored(shared_stack, queue)) == 1


def test_what_was_accepted_is_answered_again_though_it_came_too_late_now(
    api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    given = [task(queue), task(queue, expires_at=soon.isoformat())]
    first = {atomic: send(api, given, f"{queue}-{atomic}", atomic=atomic) for atomic in (True, False)}
    until(lambda: send(api, given, atomic=True).status_code == 422, what="the batch comes too late")
    made = stored(shared_stack, queue)
    for atomic, response in first.items():
        assert answered(send(api, given, f"{queue}-{atomic}", atomic=atomic)) == answered(response)
    assert stored(shared_stack, queue) == made


def test_many_requests_with_one_key_at_two_apis_make_one_batch(
    api: httpx.Client, api_url: str, shared_stack: Stack, queue: str
) -> None:
    urls = [api_url, shared_stack.api().url]
    body = {"items": [task(queue, input={"n": number}) for number in range(20)]}

    def post(number: int) -> httpx.Response:
        return httpx.post(f"{urls[number % 2]}/tasks:batch", json=body, headers={KEY: queue}, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(60)))
    assert len({json.dumps(answered(answer)) for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert ids(answers[0]) == stored(shared_stack, queue)


def test_a_live_task_answers_for_its_dedupe_key_and_the_first_of_a_batch_for_the_others(
    api: httpx.Client, worker: HandWorker, queue: str
) -> None:
    live = api.post("/tasks", json=task(worker.queue, dedupe_key=f"{queue}-live")).json()
    worker.claim()
    keys = ("live", "new", "live", None, "new")
    given = [task(worker.queue, **({"dedupe_key": f"{queue}-{key}"} if key else {})) for key in keys]
    items = answered(send(api, given))
    assert [item["status"] for item in items] == [200, 202, 200, 202, 200]
    shown = [item["task"] for item in items]
    assert [one.get("deduplicated", False) for one in shown] == [True, False, True, False, True]
    assert (shown[0]["task_id"], shown[0]["status"], shown[0]["created_at"]) == (
        live["task_id"], "RUNNING", live["created_at"],
    )  # fmt: skip
    assert shown[2] == shown[0]
    assert shown[4]["task_id"] == shown[1]["task_id"]
    assert len({one["task_id"] for one in shown}) == 3


def test_of_many_batches_at_once_one_makes_the_task_of_a_dedupe_key(
    api_url: str, shared_stack: Stack, queue: str
) -> None:
    urls = [api_url, shared_stack.api().url]
    body = {"items": [task(queue, dedupe_key=f"{queue}-{number}") for number in range(5)] + [task(queue)]}

    def post(number: int) -> httpx.Response:
        return httpx.post(f"{urls[number % 2]}/tasks:batch", json=body, timeout=60)

    with ThreadPoolExecutor(16) as pool:
        answers = [answered(answer) for answer in pool.map(post, range(40))]
    assert sum(item["status"] == 202 for answer in answers for item in answer) == 5 + 40
    assert len(stored(shared_stack, queue)) == 5 + 40


def test_a_batch_wakes_its_queue_and_not_once_a_task(
    api: httpx.Client, worker: HandWorker, redis_server: EmbeddedValkey
) -> None:
    made = ids(send(api, [task(worker.queue, input={"n": number}) for number in range(50)]))
    with redis.Redis.from_url(redis_server.url) as client:

        def wake_ups() -> int:
            return sum(client.llen(name) for name in client.scan_iter(f"*{worker.queue}*", _type="list"))

        until(wake_ups, what="the queue is woken")
        assert wake_ups() <= MAX_WAITING
    assert [str(worker.claim().id) for _ in made] == made


def test_a_batch_warns_of_queues_that_nobody_serves(api: httpx.Client, queue: str) -> None:
    def warned() -> bool:
        [item] = answered(send(api, [task(queue)]))
        return [warning["cause"] for warning in item["task"].get("warnings", [])] == ["queue_not_served"]

    until(warned, what="the batch warns")


def test_a_repeated_batch_warns_of_what_the_first_one_did(api: httpx.Client, shared_stack: Stack, queue: str) -> None:
    def warns() -> bool:
        return "warnings" in answered(send(api, [task(queue)]))[0]["task"]

    until(warns, what="the workers were read")
    first = send(api, [task(queue)], queue)
    with HandWorker(shared_stack.database_url, shared_stack.redis_url, queue):
        until(lambda: not warns(), what="the new worker was seen")
        again = send(api, [task(queue)], queue)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert b"queue_not_served" in first.content


def test_jobs_of_a_batch_with_free_permits_are_unblocked_at_once(
    api: httpx.Client, worker: HandWorker, queue: str
) -> None:
    api.put(f"/concurrency-limits/{queue}", json={"max_running": 2})
    made = ids(send(api, [task(worker.queue, concurrency_key=queue) for _ in range(5)]))
    first, second = worker.claim(), worker.claim()
    assert {str(first.id), str(second.id)} <= set(made)


def test_the_prefix_of_the_path_is_kept_in_links(api: httpx.Client, queue: str) -> None:
    items = answered(api.post("/v1/tasks:batch", json={"items": [task(queue)]}))
    assert items[0]["task"]["links"]["self"] == f"/v1/tasks/{items[0]['task']['task_id']}"


def test_a_client_that_leaves_loses_no_batch_and_splits_none(api_url: str, shared_stack: Stack, queue: str) -> None:
    host, port = api_url.removeprefix("http://").split(":")
    body = json.dumps({"items": [task(queue, input={"n": number}) for number in range(500)]}).encode()
    head = (
        f"POST /tasks:batch HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )

    async def leave() -> None:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async def leave_all() -> None:
        await asyncio.gather(*(leave() for _ in range(5)))

    seen: set[int] = set()

    def all_stored() -> bool:
        seen.add(len(stored(shared_stack, queue)))
        return 2500 in seen

    asyncio.run(leave_all())
    until(all_stored, what="every batch is stored")
    assert {count % 500 for count in seen} == {0}


@pytest.mark.parametrize("path", ["/tasks:batch", "/v1/tasks:batch"])
def test_a_validation_says_what_would_be_stored_and_stores_nothing(
    api: httpx.Client, shared_stack: Stack, queue: str, path: str
) -> None:
    given = [task(queue, input={"n": 1e16}, priority=3, delay_s=60), task(queue, priority=10)]
    for _ in range(2):
        response = api.post(f"{path}?validate_only=true", json={"items": given, "atomic": False}, headers={KEY: queue})
        valid, refused = answered(response)
        assert (valid["status"], refused["status"]) == (200, 422)
        shown = valid["task"]
        assert (shown["input"], shown["priority"], shown["status"]) == ({"n": 1e16}, 3, "PENDING")
        assert "idempotency-replayed" not in response.headers
    problem(api.post(f"{path}?validate_only=true", json={"items": given}), 422, "invalid-input")
    assert stored(shared_stack, queue) == []
    assert len(ids(send(api, given[:1], queue))) == 1, "the validation used the key up"


def test_the_validation_of_one_task_shows_it_as_it_would_be_stored(
    api: httpx.Client, shared_stack: Stack, queue: str
) -> None:
    given = task(queue, input={"n": 1}, tags=["a"], metadata={"b": 2}, retry={"jitter": 0.5}, dedupe_key=queue)
    response = api.post("/tasks?validate_only=true", json=given, headers={KEY: queue})
    assert response.status_code == 200
    shown, made = response.json(), api.post("/tasks?validate_only=false", json=given, headers={KEY: queue})
    assert made.status_code == 202
    there = api.get(made.headers["location"]).json()
    assert shown.keys() - {"warnings"} == there.keys()
    own = ("task_id", "links", "created_at", "run_at", "timings", "seq", "trace_id", "warnings")
    assert {name: value for name, value in shown.items() if name not in own} == {
        name: value for name, value in there.items() if name not in own
    }
    assert api.get(f"/tasks/{shown['task_id']}").status_code == 404
    assert len(stored(shared_stack, queue)) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [("validate_only=1", "validate_only"), ("validate_only=true&validate_only=true", "validate_only"), ("x=1", "x")],
)
@pytest.mark.parametrize("path", ["/tasks", "/tasks:batch"])
def test_other_parameters_are_refused(api: httpx.Client, queue: str, path: str, query: str, field: str) -> None:
    body = task(queue) if path == "/tasks" else {"items": [task(queue)]}
    assert field in fields(problem(api.post(f"{path}?{query}", json=body), 422, "invalid-input"))


def test_a_validation_refuses_what_a_submission_is_refused_for(api: httpx.Client, queue: str) -> None:
    wrong = task(queue, task_type="sleep", input={"seconds": "x"})
    asked, sent = (api.post(path, json=wrong) for path in ("/tasks?validate_only=true", "/tasks"))
    assert fields(problem(asked, 422, "invalid-input")) == fields(problem(sent, 422, "invalid-input"))
