"""Idempotency-Key, an Internet-Draft: a POST that is repeated has one effect."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx

from tests.conformance.conftest import SHORT, problem


def submit(client: httpx.Client, key: str, **fields: object) -> httpx.Response:
    """Submit a task with this key."""
    return client.post("/tasks", json=SHORT | fields, headers={"Idempotency-Key": f'"{key}"'})


def test_a_repeated_post_gets_the_first_answer(client: httpx.Client) -> None:
    key = str(uuid4())
    first, second = submit(client, key), submit(client, key)
    assert first.status_code == second.status_code == 202
    assert first.headers["location"] == second.headers["location"]
    assert first.content == second.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_posts_at_once_with_one_key_make_one_job(client: httpx.Client) -> None:
    key = str(uuid4())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: submit(client, key), range(32)))
    assert len({answer.headers["location"] for answer in answers if answer.status_code == 202}) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}


def test_a_repeated_batch_gets_the_first_answer(client: httpx.Client) -> None:
    key, body = str(uuid4()), {"items": [SHORT, SHORT]}
    first, second = (client.post("/tasks:batch", json=body, headers={"Idempotency-Key": f'"{key}"'}) for _ in range(2))
    made, again = ([item["task"]["task_id"] for item in answer.json()["items"]] for answer in (first, second))
    assert made == again
    assert len(set(made)) == 2
    assert second.headers["idempotency-replayed"] == "true"


def test_a_repeated_form_gets_the_first_answer(client: httpx.Client) -> None:
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    form: Any = {"task": (None, json.dumps(SHORT)), "digits": ("digits.txt", b"0123")}
    first, second = (client.post("/tasks", files=form, headers=key) for _ in range(2))
    assert (first.status_code, first.content) == (202, second.content)
    assert second.headers["idempotency-replayed"] == "true"


def test_a_key_that_cannot_be_honoured_is_refused(client: httpx.Client) -> None:
    response = client.post("/files", content=b"x", headers={"Idempotency-Key": f'"{uuid4()}"'})
    assert problem(response)["status"] == 400


def test_a_key_with_another_body_is_refused(client: httpx.Client) -> None:
    key = str(uuid4())
    submit(client, key)
    assert problem(submit(client, key, priority=1))["status"] == 422


def test_a_malformed_key_is_refused(client: httpx.Client) -> None:
    response = client.post("/tasks", json=SHORT, headers={"Idempotency-Key": '"not closed'})
    assert problem(response)["status"] == 400
