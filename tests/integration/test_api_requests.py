"""Methods, paths, parameters and headers of every route: what is not supported is said, never passed over."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.integration.raw_http import exchange, request
from tests.integration.test_api_submit import fields, problem

TASK = {"task_type": "echo", "input": {}}
SCHEDULE: dict[str, Any] = {"name": "requests", "cron": "0 0 1 1 *", "task": TASK}


@pytest.fixture(scope="module")
def places(api_url: str) -> dict[str, str]:
    """What stands for the names in paths: a task, a schedule, a queue, a key, an API key, a file, a webhook."""
    with httpx.Client(base_url=api_url, timeout=30) as client:
        task = client.post("/tasks", json=TASK).json()["task_id"]
        client.post("/schedules", json=SCHEDULE).raise_for_status()
        ids = {
            "key_id": client.post("/keys", json={"name": "test", "scopes": ["read"]}).json()["id"],
            "file_id": client.post("/files", content=b"x").json()["file_id"],
            "webhook_id": client.post("/webhooks", json={"url": "https://example.com/"}).json()["webhook_id"],
        }
        return {"task_id": task, "schedule": SCHEDULE["name"], "name": "default", "key": "a-key", "owner": "ada"} | ids


@pytest.fixture(scope="module")
def operations(api_url: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Each documented (method, path, operation)."""
    paths = httpx.get(f"{api_url}/openapi.json", timeout=30).json()["paths"]
    return [(method.upper(), path, operation) for path, item in paths.items() for method, operation in item.items()]


OF_ANY_LENGTH = ("/stream", "/events", ":export")
"""How the paths of responses end that have no length."""


def test_head_is_what_get_is_without_the_body(
    api: httpx.Client, operations: list[tuple[str, str, dict[str, Any]]], places: dict[str, str]
) -> None:
    gets = [path.format(**places) for method, path, _ in operations if method == "GET"]
    for path in [path for path in gets if not path.endswith(OF_ANY_LENGTH)] + ["/docs", "/openapi.json", "/"]:
        get, head = api.get(path), api.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        # an age in the body may have a digit more or less at the second look
        assert int(head.headers["content-length"]) == pytest.approx(int(get.headers["content-length"]), abs=8), path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
    assert api.head("/tasks/nothing").status_code == 404


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/tasks/{task_id}/stream", "text/event-stream"),
        ("/tasks/{task_id}/events", "application/x-ndjson"),
        ("/tasks:export", "application/x-ndjson"),
    ],
)
def test_head_of_a_stream_ends_after_its_headers(
    api: httpx.Client, places: dict[str, str], path: str, media_type: str
) -> None:
    head = api.head(path.format(**places), timeout=5)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith(media_type)
    assert api.get("/healthz").status_code == 200  # on the same connection


def test_options_says_what_a_path_takes(
    api: httpx.Client, operations: list[tuple[str, str, dict[str, Any]]], places: dict[str, str]
) -> None:
    for path in {path for _, path, _ in operations}:
        here = path.format(**places)
        methods = {method for method, at, _ in operations if at == path}
        allowed = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        response = api.options(here)
        assert (response.status_code, response.content) == (204, b"")
        assert set(response.headers["allow"].split(", ")) == allowed, path
        assert "access-control-allow-origin" not in response.headers
    problem(api.options("/nothing"), 404, "not-found")


def test_a_slash_too_many_is_told_where_to_go_and_sent_nowhere(
    api: httpx.Client, operations: list[tuple[str, str, dict[str, Any]]], places: dict[str, str]
) -> None:
    for method, path, _ in operations:
        if path in ("/concurrency-limits/{key}", "/rate-limits/{key}", "/quotas/{owner}"):
            continue  # a slash is part of the key, or of the owner
        here = path.format(**places)
        response = api.request(method, f"{here}/", json={})
        assert "location" not in response.headers
        if path not in ("/concurrency-limits", "/rate-limits", "/quotas"):  # below it "" is a key, and no good one
            assert f"did you mean {here}?" in problem(response, 404, "not-found")["detail"]


def test_an_unknown_parameter_is_named_everywhere(
    api: httpx.Client, operations: list[tuple[str, str, dict[str, Any]]], places: dict[str, str]
) -> None:
    routes = [(method, path.format(**places)) for method, path, _ in operations]
    for method, path in [*routes, ("GET", "/"), ("GET", "/docs")]:
        body = TASK if method in ("POST", "PATCH", "PUT") else None
        response = api.request(method, path, params={"limti": "5"}, json=body)
        assert "limti" in fields(problem(response, 422, "invalid-input")), (method, path)


def test_a_parameter_that_is_given_twice_is_named_everywhere(
    api: httpx.Client, operations: list[tuple[str, str, dict[str, Any]]], places: dict[str, str]
) -> None:
    tried = 0
    for method, path, operation in operations:
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and "array" not in str(parameter["schema"]):
                response = api.request(method, f"{path.format(**places)}?{parameter['name']}=1&{parameter['name']}=2")
                assert "give it once" in fields(problem(response, 422, "invalid-input"))[parameter["name"]]
                tried += 1
    assert tried > 8


@pytest.mark.parametrize(
    "header",
    [
        'If-Match: "abc"',
        "If-None-Match: *",
        "If-Unmodified-Since: Sat, 28 Nov 2026 00:00:00 GMT",
    ],
)
def test_what_a_client_relies_on_is_refused_where_it_is_not_honoured(api: httpx.Client, header: str) -> None:
    name, value = header.split(": ")
    before = len(api.get("/tasks", params={"limit": 200}).json()["items"])
    for method, path in [("POST", "/tasks"), ("DELETE", "/queues/default"), ("DELETE", "/concurrency-limits/a-key")]:
        response = api.request(method, path, json=TASK if method == "POST" else {}, headers={name: value})
        assert name in problem(response, 400, "header-not-supported")["detail"]
    assert len(api.get("/tasks", params={"limit": 200}).json()["items"]) == before


def test_a_cache_that_asks_whether_something_changed_is_answered(api: httpx.Client) -> None:
    assert api.get("/tasks", headers={"if-none-match": '"abc"'}).status_code == 200


def test_operations_have_clean_names_of_their_own(operations: list[tuple[str, str, dict[str, Any]]]) -> None:
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)] == []
    assert {"submitTask", "getTask", "cancelTask", "listSchedules", "runSchedule"} <= set(names)


def test_the_document_names_its_server(api: httpx.Client) -> None:
    assert [server["url"] for server in api.get("/openapi.json").json()["servers"]] == ["/v1"]


def test_trace_is_not_there(api_url: str) -> None:
    assert exchange(api_url, request("TRACE", "/tasks", "Host: localhost")).status == 405
