"""CORS is off; where the operator allows an origin, its pages can send requests and read the responses."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.processes import Stack

ORIGIN = "https://app.example.com"
TASK = {"task_type": "echo", "input": {}}
PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, idempotency-key, x-request-id",
}


@pytest.fixture(scope="module")
def shared(shared_stack: Stack) -> Iterator[httpx.Client]:
    """A client of an API that pages of one other origin may use."""
    process = shared_stack.api(env={"LONGRUN_ALLOWED_ORIGINS": ORIGIN})
    with httpx.Client(base_url=process.url, timeout=30) as client:
        yield client


def cors(response: httpx.Response) -> dict[str, str]:
    """The CORS headers of a response."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def test_without_the_setting_no_page_can_read_anything(api: httpx.Client) -> None:
    assert not cors(api.get("/queues", headers={"Origin": ORIGIN}))
    assert not cors(api.options("/tasks", headers=PREFLIGHT))


def test_a_page_of_an_allowed_origin_may_send_and_read(shared: httpx.Client) -> None:
    preflight = shared.options("/tasks", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    accepted = shared.post("/tasks", json=TASK, headers={"Origin": ORIGIN})
    assert accepted.status_code == 202
    assert accepted.headers["access-control-allow-origin"] == ORIGIN
    assert {"Location", "Retry-After", "X-Request-Id"} <= set(
        accepted.headers["access-control-expose-headers"].split(", ")
    )
    assert "Origin" in accepted.headers["vary"]


@pytest.mark.parametrize("path", ["/tasks/nothing", "/nowhere", "/tasks?unknown=1"])
def test_a_page_of_an_allowed_origin_can_read_problems(shared: httpx.Client, path: str) -> None:
    response = shared.get(path, headers={"Origin": ORIGIN})
    assert response.is_error
    assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example.com"])
def test_pages_of_other_origins_still_get_nothing(shared: httpx.Client, origin: str) -> None:
    assert not cors(shared.get("/queues", headers={"Origin": origin}))
    preflight = shared.options("/tasks", headers=PREFLIGHT | {"Origin": origin})
    assert (preflight.status_code, cors(preflight)) == (204, {})
    assert shared.post("/tasks", json=TASK, headers={"Origin": origin}).status_code == 403
