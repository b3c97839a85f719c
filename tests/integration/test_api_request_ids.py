"""Request ids and the access log: a request can be found by its id, and what is logged of it holds no secret."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.integration.raw_http import exchange, request
from tests.processes import Process, Stack
from tests.waiting import until

GIVEN = "trace-7/abc.DEF_1=~:2"
SECRETS = ("hunter2", "bearer-secret", "key-secret")


@pytest.fixture(scope="module")
def logging_api(shared_stack: Stack) -> Process:
    """An API that logs each request as JSON."""
    return shared_stack.api(env={"LONGRUN_ACCESS_LOG": "true", "LONGRUN_LOG_FORMAT": "json"})


def logged(process: Process) -> list[dict[str, Any]]:
    """The lines of the access log."""
    lines = [json.loads(line) for line in process.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("logger") == "longrun_api.access_log"]


def logged_as(process: Process, request_id: str) -> dict[str, Any]:
    """The line of this request."""
    return until(
        lambda: next((line for line in logged(process) if line["request_id"] == request_id), None),
        what=f"the line of {request_id} is in the log",
    )


@pytest.mark.parametrize("path", ["/tasks", "/tasks/nothing", "/nowhere", "/healthz", "/docs"])
def test_the_id_of_a_request_comes_back(api: httpx.Client, path: str) -> None:
    response = api.get(path, headers={"X-Request-Id": GIVEN})
    assert response.headers.get_list("x-request-id") == [GIVEN]
    if response.is_error:
        assert response.json()["request_id"] == GIVEN


@pytest.mark.parametrize("given", ["", "two words", "a" * 129, "<script>", "é"])
def test_an_id_that_could_spoil_a_log_is_replaced(api: httpx.Client, given: str) -> None:
    response = api.get("/healthz", headers={b"X-Request-Id": given.encode()})
    assert len(response.headers["x-request-id"]) == 32


def test_each_request_without_an_id_gets_one_of_its_own(api: httpx.Client) -> None:
    assert len({api.get("/healthz").headers["x-request-id"] for _ in range(5)}) == 5


def test_what_is_no_http_has_an_id_too(logging_api: Process) -> None:
    answer = exchange(logging_api.url, b"nonsense\r\n\r\n")
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    assert logged_as(logging_api, answer.headers["x-request-id"])["status"] == 400


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/queues?limit=7", "/queues", 200),
        ("GET", "/tasks/hunter2", "/tasks/{task_id}", 404),
        ("GET", "/v1/tasks/hunter2", "/v1/tasks/{task_id}", 404),
        ("HEAD", "/queues/default", "/queues/{name}", 404),
        ("POST", "/tasks?hunter2=1", "/tasks", 422),
        ("GET", "/hunter2", None, 404),
    ],
)
def test_a_request_is_a_line_with_its_route(
    logging_api: Process, method: str, path: str, route: str | None, status: int
) -> None:
    request_id = f"line-{abs(hash((method, path)))}"
    with httpx.Client(base_url=logging_api.url) as client:
        response = client.request(method, path, headers={"X-Request-Id": request_id})
    line = logged_as(logging_api, request_id)
    assert (line["method"], line["route"], line["status"]) == (method, route, status)
    assert line["bytes"] == (0 if method == "HEAD" else len(response.content))
    assert 0 < line["duration_ms"] < 60_000


def test_nothing_secret_is_logged(logging_api: Process) -> None:
    headers = {"Authorization": "Bearer bearer-secret", "Idempotency-Key": "key-secret", "X-Request-Id": "secretive"}
    with httpx.Client(base_url=logging_api.url, headers=headers) as client:
        client.get("/tasks/hunter2?password=hunter2")
        client.get("/nowhere/hunter2")
        client.post("/tasks", content=b'{"password": "hunter2"')
    exchange(logging_api.url, request("GET", "/hunter2", "Host: hunter2 hunter2"))
    until(lambda: sum(line["request_id"] == "secretive" for line in logged(logging_api)) == 3, what="all are logged")
    assert not [secret for secret in SECRETS if secret in logging_api.log()]


def test_probes_are_not_logged(logging_api: Process) -> None:
    with httpx.Client(base_url=logging_api.url) as client:
        for path in ("/healthz", "/readyz", "/v1/healthz"):
            client.get(path, headers={"X-Request-Id": "a-probe"}).raise_for_status()
        client.get("/queues", headers={"X-Request-Id": "after-the-probes"})
    logged_as(logging_api, "after-the-probes")
    assert not [line for line in logged(logging_api) if line["request_id"] == "a-probe"]


def test_nothing_is_logged_unless_it_is_switched_on(shared_stack: Stack, api: httpx.Client, api_url: str) -> None:
    api.get("/queues", headers={"X-Request-Id": "unheard"})
    quiet = next(process for process in shared_stack.processes if process.url == api_url)
    assert "unheard" not in quiet.log()
