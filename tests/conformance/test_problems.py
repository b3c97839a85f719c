"""RFC 9457: every error is a problem document."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.conftest import SHORT, problem
from tests.integration.raw_http import exchange, request


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/tasks/00000000-0000-0000-0000-000000000000", 404),
        ("PUT", "/tasks", 405),
        ("GET", "/tasks?no_such_parameter=1", 422),
        ("POST", "/tasks", 415),
    ],
)
def test_an_error_is_a_problem_document(client: httpx.Client, method: str, path: str, status: int) -> None:
    document = problem(client.request(method, path))
    assert document["status"] == status
    assert {"type", "title", "detail"} <= set(document)


def test_a_body_that_is_no_json_is_a_problem(client: httpx.Client) -> None:
    response = client.post("/tasks", content=b"{", headers={"Content-Type": "application/json"})
    assert problem(response)["status"] == 400


def test_a_wrong_field_is_named(client: httpx.Client) -> None:
    document = problem(client.post("/tasks", json={"task_type": "echo", "input": {}, "no_such_field": 1}))
    assert (document["status"], document["errors"][0]["field"]) == (422, "no_such_field")


def test_a_batch_with_a_wrong_field_is_refused_as_a_whole(client: httpx.Client) -> None:
    newest = client.get("/tasks?limit=1").json()["items"]
    document = problem(client.post("/tasks:batch", json={"items": [SHORT, SHORT | {"no_such_field": 1}]}))
    assert (document["status"], document["errors"][0]["field"]) == (422, "items[1].no_such_field")
    assert [task["task_id"] for task in client.get("/tasks?limit=1").json()["items"]] == [
        task["task_id"] for task in newest
    ]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", 400), (request("GET", "/tasks"), 400), (request("GET", f"/{'a' * 100_000}"), 431)],
    ids=["nonsense", "no host", "long line"],
)
def test_an_error_of_the_server_itself_is_a_problem_too(base_url: str, sent: bytes, status: int) -> None:
    assert exchange(base_url, sent).problem["status"] == status
