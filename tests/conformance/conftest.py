"""The server under test: the one at `LONGRUN_CONFORMANCE_URL`, or an API and a worker that are started here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import httpx
import pytest

from jobcore.models.api_keys import new_key
from tests.processes import Stack
from tests.waiting import until

ENDED = ("SUCCESS", "FAILED", "CANCELLED")
SHORT = json.loads(os.environ.get("LONGRUN_CONFORMANCE_SHORT", '{"task_type": "echo", "input": {"a": 1}}'))
"""A task that ends by itself within a second."""
LONG = json.loads(
    os.environ.get("LONGRUN_CONFORMANCE_LONG", '{"task_type": "sleep", "input": {"seconds": 600, "steps": 6000}}')
)
"""A task that runs for minutes and can be cancelled."""


class Keyed(NamedTuple):
    """A server that asks for keys, and a key with which others can be made."""

    url: str
    key: str

    def get(self, path: str, *authorization: str) -> httpx.Response:
        """GET the path with these headers Authorization."""
        return httpx.get(f"{self.url}{path}", headers=[("Authorization", value) for value in authorization], timeout=30)

    def make(self, *scopes: str, **fields: str) -> httpx.Response:
        """Make a key."""
        return self.send("POST", "/keys", {"name": "conformance", "scopes": scopes, **fields})

    def send(self, method: str, path: str, body: Any, key: str | None = None) -> httpx.Response:
        """Send a body with this key, by default that which may make others."""
        head = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.request(method, f"{self.url}{path}", json=body, headers=head, timeout=30)


@pytest.fixture(scope="package")
def own_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The servers that are started here."""
    new_stack: Callable[[str], AbstractContextManager[Stack]] = request.getfixturevalue("new_stack")
    with new_stack("conformance") as stack:
        yield stack


@pytest.fixture(scope="package")
def base_url(request: pytest.FixtureRequest) -> str:
    """Where the server under test answers."""
    if given := os.environ.get("LONGRUN_CONFORMANCE_URL"):
        return given.rstrip("/")
    stack: Stack = request.getfixturevalue("own_stack")
    stack.worker()
    return stack.api().url


@pytest.fixture(scope="package")
def keyed(request: pytest.FixtureRequest) -> Keyed:
    """A server that asks for keys."""
    if given := os.environ.get("LONGRUN_CONFORMANCE_KEYED_URL"):
        return Keyed(given.rstrip("/"), os.environ["LONGRUN_CONFORMANCE_KEY"])
    if "LONGRUN_CONFORMANCE_URL" in os.environ:
        pytest.skip("no LONGRUN_CONFORMANCE_KEYED_URL")
    stack: Stack = request.getfixturevalue("own_stack")
    key = new_key()
    return Keyed(stack.api(env={"LONGRUN_AUTH": "keys", "LONGRUN_BOOTSTRAP_KEY": key}).url, key)


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    """A plain HTTP client of the server."""
    with httpx.Client(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture
def ended(client: httpx.Client) -> str:
    """The path of a task that has ended."""
    location = str(client.post("/tasks", json=SHORT).headers["location"])
    until(lambda: client.get(location).json()["status"] in ENDED, what="the task has ended")
    return location


@pytest.fixture
def running(client: httpx.Client) -> Iterator[str]:
    """The path of a task that runs for minutes."""
    location = str(client.post("/tasks", json=LONG).headers["location"])
    until(lambda: client.get(location).json()["status"] == "RUNNING", what="the task runs")
    yield location
    client.delete(location)


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document of a response."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    return document
