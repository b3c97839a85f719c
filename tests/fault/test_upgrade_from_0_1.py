"""Version 0.1 goes on while its database is migrated, beside this version: nothing is lost, nothing runs twice.

Needs the code of 0.1 from this repository's history; without it the test is skipped.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from longrun_local.postgres import EmbeddedPostgres
from tests.harness import ROOT, Harness, environment
from tests.invariants import check
from tests.processes import Stack
from tests.servers import execute
from tests.thorough import cases
from tests.waiting import until

pytestmark = pytest.mark.fault

VERSION_0_1 = "db6a7fd"
SOURCES = [
    f"{package}/src"
    for package in ("libs/jobcore", "libs/longrun-local", "services/api", "services/scraper-worker", "services/worker")
]
MIGRATIONS = [sys.executable, "-m", "jobcore.migrations"]
ENTRY_POINTS_OF_0_1 = "[longrun.tasks]\ntests = tests.fault.tasks\n"
PAUSE_S = 0.02


@pytest.fixture(scope="module")
def code_of_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources of 0.1."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", VERSION_0_1, "libs", "services", "tests"], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"the history of this repository, with {VERSION_0_1}, is not here")
    folder = tmp_path_factory.mktemp("0.1")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as sources:
        sources.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=cases(["longrun", "another"]))
def harness(
    postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Harness]:
    """A database without tables, whose role is named like the schema (PostgreSQL looks there first) or is not."""
    name, server = f"upgraded_{request.param}", postgres.url_of("postgres")
    role, url = "longrun", postgres.url_of(name)
    if request.param != role:
        role, url = name, url.replace(url.partition("//")[2].partition("@")[0], f"{name}:secret")
        execute(server, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    execute(server, f"CREATE DATABASE {name} OWNER {role}")
    with Stack(url, redis_url, tmp_path) as stack:
        yield Harness(stack, httpx.Client(timeout=30), "upgraded", tmp_path)
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    if role == name:
        execute(server, f"DROP ROLE {role}")


def env_of(code: Path, harness: Harness) -> dict[str, str]:
    """An environment in which Python finds the older sources first."""
    folder = harness.folder / "0.1"
    folder.mkdir()
    paths = [str(folder), str(code), *(str(code / source) for source in SOURCES)]
    found = {"PYTHONPATH": os.pathsep.join(paths), "LONGRUN_QUEUES": harness.queue}
    return environment(folder, ENTRY_POINTS_OF_0_1) | found


class Load:
    """Clients that submit to whichever APIs are in service, until it is over."""

    def __init__(self, harness: Harness) -> None:
        self.urls: list[str] = []
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.over = threading.Event()
        self._harness = harness

    def submit(self, client: int) -> None:
        with httpx.Client(timeout=30) as http:
            number = client
            while not self.over.wait(PAUSE_S):
                number += 1
                answer = http.post(f"{self.urls[number % len(self.urls)]}/tasks", json=self._body(number))
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.accepted.append(answer.json()["task_id"])
                else:
                    self.refused.append(answer.text)

    def _body(self, number: int) -> dict[str, object]:
        ticking = {"seconds": 2.0 if number % 40 == 0 else 0.02, "folder": str(self._harness.folder)}
        options: list[dict[str, object]] = [
            {"priority": number % 10},
            {"delay_s": 0.5},
            {"concurrency_key": f"key-{number % 3}"},
            {"fairness_key": f"client-{number % 3}"},
        ]
        return {"task_type": "test_tick", "input": ticking, "queue": self._harness.queue, **options[number % 4]}


@pytest.mark.timeout(300)
def test_the_version_before_goes_on_while_its_database_is_migrated_and_beside_this_version(
    harness: Harness, code_of_0_1: Path
) -> None:
    stack, old = harness.stack, env_of(code_of_0_1, harness)
    new = environment(harness.folder) | {"LONGRUN_QUEUES": harness.queue}
    assert stack.start("old-migrations", MIGRATIONS, old).wait() == 0
    assert execute(stack.database_url, "SELECT version_num FROM public.alembic_version") == [("0005",)]
    old_api, old_worker = stack.api(env=old), stack.worker("old", 2, old)
    load = Load(harness)
    load.urls.append(old_api.url)
    with ThreadPoolExecutor(2) as clients:
        running = [clients.submit(load.submit, client) for client in (0, 1)]
        try:
            until(lambda: len(load.accepted) > 50, what="0.1 is at work")
            migration = stack.start("migrations", MIGRATIONS, new)
            assert migration.wait() == 0, migration.log()
            assert "moved the tables of 0.1" in migration.log()
            new_api, _ = stack.api(env=new), stack.worker("new", 2, new)
            load.urls.append(new_api.url)
            moved = len(load.accepted)
            until(lambda: len(load.accepted) > moved + 200, what="both versions are at work")
            # a process of 0.1 that is started again while the deploy is on
            assert stack.start("old-wait", [*MIGRATIONS, "wait"], old).wait() == 0
            load.urls.remove(old_api.url)
            old_worker.terminate()
            assert old_worker.wait(60) == 0
        finally:
            load.over.set()
        for client in running:
            client.result()
    harness.all_reach(load.accepted, "SUCCESS")
    workers = harness.sql("SELECT worker_id, count(*) FROM jobs GROUP BY worker_id")
    assert len(workers) == 2, "one of the versions ran nothing"
    assert load.refused == []
    check(harness, load.accepted)
    for process in (old_api, old_worker):
        assert "Traceback" not in process.log(), process.log()
