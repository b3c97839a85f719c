"""Request bodies as odd and hostile clients send them, on every route that reads one."""

from __future__ import annotations

import codecs
import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.raw_http import resident_bytes
from tests.integration.test_api_submit import problem
from tests.processes import Stack

TASK = b'{"task_type": "echo", "input": {}}'
MIB = 1024 * 1024
ROUTES = {
    "POST /tasks": TASK,
    "POST /schedules": b'{"name": "bodies", "cron": "0 0 1 1 *", "task": {"task_type": "echo", "input": {}}}',
    "PATCH /schedules/patched": b'{"paused": true}',
    "PATCH /queues/bodies": b'{"paused": false}',
    "PUT /concurrency-limits/bodies": b'{"max_running": 1}',
}


@pytest.fixture(autouse=True)
def _schedules(api: httpx.Client) -> None:
    api.delete("/schedules/bodies")
    api.post("/schedules", json={**json.loads(ROUTES["POST /schedules"]), "name": "patched"})


@pytest.fixture(params=list(ROUTES))
def route(request: pytest.FixtureRequest) -> str:
    """Each route that reads a body."""
    return str(request.param)


def send(api: httpx.Client, route: str, body: bytes, **headers: str) -> httpx.Response:
    """Send this body to the route as JSON, or as these headers (`content_encoding`) say."""
    method, path = route.split()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request(method, path, content=body, headers={"content-type": "application/json", **named})


def list_of(elements: int) -> bytes:
    """A task of so many small lists."""
    return b'{"task_type": "echo", "input": {"x": [' + b",".join([b"[]"] * elements) + b"]}}"


def test_a_compressed_body_is_told_what_is_taken(api: httpx.Client, route: str) -> None:
    response = send(api, route, gzip.compress(ROUTES[route]), content_encoding="gzip")
    assert "Content-Encoding: gzip" in problem(response, 415, "unsupported-media-type")["detail"]
    assert response.headers["accept-encoding"] == "identity"


def test_a_body_that_claims_to_be_compressed_is_not_taken_for_plain(api: httpx.Client, route: str) -> None:
    problem(send(api, route, ROUTES[route], content_encoding="gzip"), 415, "unsupported-media-type")


def test_identity_is_no_compression(api: httpx.Client, route: str) -> None:
    assert send(api, route, ROUTES[route], content_encoding="Identity").is_success


def test_a_byte_order_mark_is_passed_over(api: httpx.Client, route: str) -> None:
    assert send(api, route, codecs.BOM_UTF8 + ROUTES[route]).is_success


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "windows-1252"])
def test_another_charset_is_named(api: httpx.Client, route: str, charset: str) -> None:
    response = send(api, route, ROUTES[route], content_type=f"application/json; charset={charset}")
    assert charset in problem(response, 415, "unsupported-media-type")["detail"]


def test_utf_16_is_named(api: httpx.Client, route: str) -> None:
    body = ROUTES[route].decode().encode("utf-16")
    assert "UTF-16" in problem(send(api, route, body), 400, "malformed-json")["detail"]


def test_a_body_has_a_type_on_every_route(api: httpx.Client, route: str) -> None:
    problem(send(api, route, ROUTES[route], content_type="text/plain"), 415, "unsupported-media-type")


def test_a_body_has_a_bound_on_every_route(api: httpx.Client, route: str) -> None:
    problem(send(api, route, ROUTES[route] + b" " * MIB), 413, "body-too-large")


@pytest.mark.parametrize("body", [list_of(300_000), b'{"task_type": {' + b'"a":1,' * 150_000 + b"}}"])
def test_what_would_build_too_many_values_is_refused_by_a_count(api: httpx.Client, route: str, body: bytes) -> None:
    detail = problem(send(api, route, body), 413, "body-too-large")["detail"]
    assert "elements" in detail


def test_text_that_looks_like_many_values_is_one(api: httpx.Client) -> None:
    text = 'a,"b\\",[{' * 80_000
    response = api.post("/tasks", json={"task_type": "echo", "input": {"csv": text}})
    assert response.status_code == 202
    assert api.get(response.headers["location"]).json()["input"] == {"csv": text}


def test_a_large_body_is_checked_like_a_small_one(api: httpx.Client) -> None:
    body = json.dumps({"task_type": "sleep", "input": {"seconds": "x" * 100_000}}).encode()
    document = problem(send(api, "POST /tasks", body), 422, "invalid-input")
    assert [error["field"] for error in document["errors"]] == ["input.seconds"]
    detail = problem(send(api, "POST /tasks", TASK + b" " * 100_000 + b"x"), 400, "malformed-json")["detail"]
    assert "line 1 column" in detail


def test_others_are_served_while_costly_bodies_are_parsed(shared_stack: Stack) -> None:
    process = shared_stack.api()
    # what looks like an escaped NUL has each value looked at for its own, which takes the longest
    body = b'{"task_type": "echo", "input": {"x": [' + b"[]," * 25_000 + b'"\\\\u0000"]}}'
    assert json.loads(body)["input"]["x"][-1] == "\\u0000"
    body = body.ljust(MIB)
    over, served = threading.Event(), 0
    with ThreadPoolExecutor(40) as pool, httpx.Client(base_url=process.url, timeout=30) as client:
        answers = [pool.submit(_post, process.url, body) for _ in range(40)]
        for answer in answers:
            answer.add_done_callback(lambda _: over.set() if all(each.done() for each in answers) else None)
        while not over.is_set():
            assert client.get("/healthz").status_code == 200
            served += 1
        statuses = {answer.result() for answer in answers}
    assert statuses <= {202, 503}
    assert 202 in statuses
    # parsed on the event loop, at most one request is served between two bodies
    assert served > 1.25 * len(answers)
    assert resident_bytes(process.pid) < 400 * MIB
    process.kill_group()


def _post(url: str, body: bytes) -> int:
    response = httpx.post(f"{url}/tasks", content=body, headers={"content-type": "application/json"}, timeout=60)
    return response.status_code
