"""One database, one API and a fleet of two workers for all fault tests, made whole again before each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.conftest import database
from tests.harness import Harness, environment
from tests.processes import Process, Stack

FLEET_QUEUE = "fleet"
FLEET_CHILDREN = 2
"""Children of each of the fleet's two workers."""
_numbers = count(1)


@pytest.fixture(scope="package")
def shared_stack(new_stack: Callable[[str], AbstractContextManager[Stack]]) -> Iterator[Stack]:
    """The database and the processes that outlive a test."""
    with new_stack("shared") as stack:
        yield stack


@pytest.fixture(scope="package")
def client(shared_stack: Stack) -> Iterator[httpx.Client]:
    """A client of the API that the tests share; its keeper counts leases as the workers do."""
    api = shared_stack.api(env=environment(shared_stack.folder))
    with httpx.Client(base_url=api.url, timeout=30, verify=False) as client:
        yield client


@pytest.fixture(scope="package")
def fleet() -> list[Process]:
    """The workers of the fleet that are in service."""
    return []


@pytest.fixture
def longrun(shared_stack: Stack, client: httpx.Client, fleet: list[Process], tmp_path: Path) -> Harness:
    """Longrun with both workers of the fleet in service."""
    harness = Harness(shared_stack, client, FLEET_QUEUE, tmp_path, fleet)
    fleet[:] = [worker for worker in fleet if worker.popen.poll() is None]
    with ThreadPoolExecutor() as starters:
        fleet += starters.map(lambda name: harness.worker(name, FLEET_CHILDREN), ["fleet-a", "fleet-b"][len(fleet) :])
    return harness


@pytest.fixture
def stack(shared_stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """Processes of one test's own, on the shared database."""
    with Stack(shared_stack.database_url, shared_stack.redis_url, tmp_path) as stack:
        yield stack


@pytest.fixture
def apart(stack: Stack, client: httpx.Client, tmp_path: Path) -> Harness:
    """Longrun with a queue of this test's own, which no worker serves yet."""
    return Harness(stack, client, f"apart-{next(_numbers)}", tmp_path)


@pytest.fixture
def own(postgres: EmbeddedPostgres, migrated_template: str, redis_url: str, tmp_path: Path) -> Iterator[Harness]:
    """Longrun on a database of its own."""
    with database(postgres, migrated_template) as url, Stack(url, redis_url, tmp_path) as stack:
        api = stack.api(env=environment(tmp_path))
        with httpx.Client(base_url=api.url, timeout=30, verify=False) as client:
            yield Harness(stack, client, "own", tmp_path)
