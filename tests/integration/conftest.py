"""An API that the tests of one module share, each in a queue of its own; and a client for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from typing import Any

import httpx
import pytest

from jobcore.models.api_keys import new_key
from longrun_local.postgres import EmbeddedPostgres
from tests.integration.desk import Desk
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi
from tests.integration.store.world import World
from tests.processes import Stack
from tests.servers import execute

_numbers = count(1)


@pytest.fixture(scope="module")
def shared_stack(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[Stack]:
    """The processes that a module's tests share, on a database of their own."""
    with new_stack("stack") as stack:
        yield stack


@pytest.fixture(scope="module")
def api_url(shared_stack: Stack) -> str:
    """Where the module's shared API listens."""
    return shared_stack.api().url


@pytest.fixture(scope="module")
def keyed(shared_stack: Stack) -> KeyedApi:
    """The module's shared API that asks for keys."""
    return KeyedApi(shared_stack, new_key())


@pytest.fixture
def act_as(keyed: KeyedApi) -> Iterator[Callable[..., httpx.Client]]:
    """Makes clients of that API with all scopes: `act_as("alice")`, or `act_as(None)` for the operator."""
    with ExitStack() as clients:

        def client(owner: str | None, *scopes: str) -> httpx.Client:
            return clients.enter_context(keyed.caller(*(scopes or ("admin",)), owner=owner))

        yield client


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """The store on an empty database."""
    with World(database_url) as world:
        yield world


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """An intake on an empty database."""
    desk = Desk(database_url)
    yield desk
    desk.intake.stop()
    desk.db.close()


@pytest.fixture
def api(api_url: str) -> Iterator[httpx.Client]:
    """A client of the module's shared API."""
    with httpx.Client(base_url=api_url, timeout=30, verify=False) as client:
        yield client


@pytest.fixture
def worker(shared_stack: Stack) -> Iterator[HandWorker]:
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
