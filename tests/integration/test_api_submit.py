"""`POST /tasks`: what is accepted, and how everything else is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

PROBLEM = "application/problem+json"


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document of a refused request, checked for what all of them promise."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM), response.text
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"] == f"urn:longrun:problem:{slug}"
    assert document["title"]
    assert document["detail"]
    return document


def fields(document: dict[str, Any]) -> dict[str, str]:
    """The fields at fault and what is said of them."""
    return {error["field"]: error["message"] for error in document["errors"]}


def post(api: httpx.Client, body: bytes | str) -> httpx.Response:
    """Send a body as it is."""
    return api.post("/tasks", content=body, headers={"content-type": "application/json"})


def test_an_accepted_task_is_answered_with_its_place_and_links(api: httpx.Client) -> None:
    response = api.post("/tasks", json={"task_type": "echo", "input": {"hello": "wörld"}})
    assert response.status_code == 202
    body = response.json()
    here = f"/tasks/{body['task_id']}"
    assert UUID(body["task_id"]).version == 7
    assert response.headers["location"] == here
    assert response.headers["retry-after"] == "1"
    assert (body["task_type"], body["status"]) == ("echo", "PENDING")
    assert datetime.fromisoformat(body["created_at"]).utcoffset() == timedelta(0)
    named = {
        name: f"{here}/{name}"
        for name in ("stream", "logs", "output", "attempts", "files", "retry", "why", "deliveries")
    }
    assert body["links"] == {"self": here, "cancel": here, **named}
    assert api.get(here).json()["input"] == {"hello": "wörld"}


def test_every_option_is_stored_as_it_was_given(api: httpx.Client) -> None:
    run_at = datetime.now(UTC) + timedelta(days=365)
    given: dict[str, Any] = {
        "queue": "mail.slow-1",
        "priority": 9,
        "run_at": run_at.isoformat(),
        "expires_at": (run_at + timedelta(days=300)).isoformat(),
        "timeout_s": 0.5,
        "max_attempts": 100,
        "fairness_key": "tenant-7",
        "tags": ["a", "ü" * 64],
        "metadata": {"nested": [{"deep": None}]},
    }
    response = api.post("/tasks", json={"task_type": "echo", "input": {}, **given})
    task = api.get(response.headers["location"]).json()
    for name in ("run_at", "expires_at"):
        assert datetime.fromisoformat(task.pop(name)) == datetime.fromisoformat(given.pop(name))
    assert {name: task[name] for name in given} == given


def test_a_delay_counts_from_acceptance_on_the_databases_clock(api: httpx.Client) -> None:
    response = api.post("/tasks", json={"task_type": "echo", "input": {}, "delay_s": 90})
    task = api.get(response.headers["location"]).json()
    waits = datetime.fromisoformat(task["run_at"]) - datetime.fromisoformat(task["created_at"])
    assert waits == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"task_type": "sleep", "input": {}}, "input.seconds"),
        ({"task_type": "sleep", "input": {"seconds": 1, "sedonds": 2}}, "input.sedonds"),
        ({"task_type": "web_scrape", "input": {"url": "not a url"}}, "input.url"),
        ({"task_type": 7}, "task_type"),
        ({"input": []}, "input"),
        ({"queue": "No Spaces"}, "queue"),
        ({"queue": "x" * 64}, "queue"),
        ({"priority": 10}, "priority"),
        ({"priority": "3"}, "priority"),
        ({"priority": True}, "priority"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"run_at": 1_800_000_000}, "run_at"),
        ({"run_at": "2026-11-24T12:00:00"}, "run_at"),
        ({"run_at": "2199-01-01T00:00:00Z"}, "run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"delay_s": -1}, "delay_s"),
        ({"delay_s": 366 * 86_400 + 1}, "delay_s"),
        ({"delay_s": 1, "run_at": datetime.now(UTC).isoformat()}, "delay_s"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"delay_s": 3600, "expires_at": (datetime.now(UTC) + timedelta(minutes=5)).isoformat()}, "expires_at"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 7 * 86_400 + 1}, "timeout_s"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 101}, "max_attempts"),
        ({"tags": ["x"] * 21}, "tags"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"tags": ["a\0"]}, "tags[0]"),
        ({"metadata": {"key": "x" * 16_400}}, "metadata"),
        ({"metadata": {"key": "\0"}}, "metadata.key"),
        ({"input": {"list": [1, {"key": "\0"}]}}, "input.list[1].key"),
        ({"input": {"\0": 1}}, "input.'\\x00'"),
        ({"input": {"number": 10**1001}}, "input.number"),
        ({"dedupe_key": ""}, "dedupe_key"),
        ({"dedupe_key": "a\0b"}, "dedupe_key"),
        ({"unknown_field": "later"}, "unknown_field"),
        ({"concurrency_key": ""}, "concurrency_key"),
        ({"concurrency_key": 7}, "concurrency_key"),
        ({"concurrency_key": "k" * 201}, "concurrency_key"),
        ({"fairness_key": ""}, "fairness_key"),
        ({"fairness_key": 7}, "fairness_key"),
        ({"fairness_key": "k" * 201}, "fairness_key"),
        ({"fairness_key": "a\0b"}, "fairness_key"),
    ],
)
def test_an_invalid_field_is_named(api: httpx.Client, fault: dict[str, Any], field: str) -> None:
    response = api.post("/tasks", json={"task_type": "echo", "input": {}, **fault})
    assert list(fields(problem(response, 422, "invalid-input"))) == [field]


def test_all_faults_are_named_at_once(api: httpx.Client) -> None:
    body = {"task_type": "echo", "input": {"a": "\0", "b": ["\0"]}, "metadata": {"c": "\0"}}
    document = problem(api.post("/tasks", json=body), 422, "invalid-input")
    assert set(fields(document)) == {"input.a", "input.b[0]", "metadata.c"}


def test_an_unknown_field_is_told_the_known_ones(api: httpx.Client) -> None:
    response = api.post("/tasks", json={"task_type": "echo", "input": {}, "prio": 1})
    message = fields(problem(response, 422, "invalid-input"))["prio"]
    assert "priority" in message
    assert "delay_s" in message


def test_an_unknown_task_type_is_told_the_known_ones(api: httpx.Client) -> None:
    response = api.post("/tasks", json={"task_type": "ecko", "input": {}})
    message = fields(problem(response, 422, "unknown-task-type"))["task_type"]
    assert "'ecko'" in message
    assert {"echo", "sleep", "web_scrape"} <= set(message.split("known task types: ")[1].split(", "))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_named(api: httpx.Client, number: str) -> None:
    response = post(api, f'{{"task_type": "echo", "input": {{"x": [{number}]}}}}')
    assert list(fields(problem(response, 422, "invalid-input"))) == ["input.x[0]"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"task_type": "echo",\n "input": }', "line 2 column 11"),
        (b"", "line 1 column 0"),
        (b"\xff\xfe", "line 1 column 1"),
        (b'{"task_type": "echo", "input": {"x": "\\ud800"}}', "line 1"),
        (b'{"task_type": "echo", "input": {"x": ' + b"9" * 5000 + b"}}", "line 1"),
        (b'{"task_type": "echo", "input": {"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}", "line 1"),
        (b"[" * 50_000, "line 1"),
    ],
    ids=["syntax", "empty", "not UTF-8", "lone surrogate", "5000 digits", "nested 50,000 deep", "only brackets"],
)
def test_malformed_json_is_told_where_it_breaks(api: httpx.Client, body: bytes, place: str) -> None:
    assert place in problem(post(api, body), 400, "malformed-json")["detail"]


def test_json_that_is_no_object_is_refused(api: httpx.Client) -> None:
    assert list(fields(problem(post(api, "[1]"), 422, "invalid-input"))) == ["body"]


def test_an_input_nested_too_deep_to_be_stored_is_named(api: httpx.Client) -> None:
    response = post(api, '{"task_type": "echo", "input": {"x": ' + "[" * 150 + "]" * 150 + "}}")
    [(field, message)] = fields(problem(response, 422, "invalid-input")).items()
    assert field.startswith("input.x[0][0]")
    assert "100 levels" in message


def test_a_body_up_to_1_mib_is_taken_and_no_more(api: httpx.Client) -> None:
    frame = len(json.dumps({"task_type": "echo", "input": {"x": ""}}))
    fits = json.dumps({"task_type": "echo", "input": {"x": "x" * (1024 * 1024 - frame)}})
    assert post(api, fits).status_code == 202
    problem(post(api, fits + " "), 413, "body-too-large")


def test_a_body_without_a_length_is_counted_as_it_comes(api: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"task_type": "echo", "input": {"x": "'
        yield from [b"x" * 1024] * 1024

    response = api.post("/tasks", content=chunks(), headers={"content-type": "application/json"})
    problem(response, 413, "body-too-large")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_not_declared_as_json_is_refused(api: httpx.Client, content_type: str) -> None:
    response = api.post("/tasks", content=b'{"task_type": "echo", "input": {}}', headers={"content-type": content_type})
    assert "application/json" in problem(response, 415, "unsupported-media-type")["detail"]


def test_a_charset_beside_the_content_type_is_fine(api: httpx.Client) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    assert api.post("/tasks", content=b'{"task_type": "echo", "input": {}}', headers=headers).status_code == 202


def test_the_defaults_of_the_task_type_apply(api: httpx.Client) -> None:
    types = {item["name"]: item for item in api.get("/task-types").json()["items"]}
    response = api.post("/tasks", json={"task_type": "web_scrape", "input": {"url": "https://example.com/"}})
    task = api.get(response.headers["location"]).json()
    for name in ("queue", "max_attempts", "timeout_s"):
        assert task[name] == types["web_scrape"][name]
