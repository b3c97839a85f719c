"""An API that the tests of one module share, each in a queue of its own; and a client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.conftest import database
from tests.integration.hand_worker import HandWorker
from tests.processes import Stack
from tests.servers import execute

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_stack(
    postgres: EmbeddedPostgres,
    migrated_template: str,
    redis_server: EmbeddedValkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """The processes that a module's tests share, on a database of their own."""
    with (
        database(postgres, migrated_template) as url,
        Stack(url, redis_server.url, tmp_path_factory.mktemp("stack")) as stack,
    ):
        yield stack


@pytest.fixture(scope="module")
def api_url(shared_stack: Stack) -> str:
    """Where the module's shared API listens."""
    return shared_stack.api().url


@pytest.fixture
def api(api_url: str) -> Iterator[httpx.Client]:
    """A client of the module's shared API."""
    with httpx.Client(base_url=api_url, timeout=30) as client:
        yield client


@pytest.fixture
def worker(shared_stack: Stack, api_url: str) -> Iterator[HandWorker]:
    """A worker played by hand, on a queue of this test alone."""
    with HandWorker(shared_stack.database_url, shared_stack.redis_url, f"hand-{next(_numbers)}") as worker:
        yield worker


@pytest.fixture
def submit(api: httpx.Client, worker: HandWorker) -> Callable[..., str]:
    """Submits an echo task to the hand-played worker's queue; returns its path."""

    def post(**fields: Any) -> str:
        body = {"task_type": "echo", "input": {}, "queue": worker.queue, **fields}
        response = api.post("/tasks", json=body)
        assert response.status_code == httpx.codes.ACCEPTED, response.text
        return response.headers["location"]

    return post


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    execute(postgres.url_of("postgres"), f"CREATE DATABASE {name}")
    yield postgres.url_of(name)
    execute(postgres.url_of("postgres"), f"DROP DATABASE {name} WITH (FORCE)")
