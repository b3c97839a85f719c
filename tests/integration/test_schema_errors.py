"""A schema that is older, or a role that lacks a right: every door says so, with what to do, until it is mended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from alembic import command

from jobcore.migrations import config, upgrade
from longrun_local import services
from longrun_local.ports import free_port
from tests.processes import Stack
from tests.servers import execute
from tests.waiting import until

pytestmark = pytest.mark.timeout(300)

ECHO = {"task_type": "echo", "input": {}}


@pytest.fixture
def stack(empty_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Processes on a database that is not migrated."""
    with Stack(empty_url, redis_url, tmp_path) as stack:
        yield stack


def start_api(stack: Stack) -> httpx.Client:
    """A client of an API that answers, ready or not."""
    port = free_port()
    stack.start("api", services.api("127.0.0.1", port))
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(url), 90, "the API answers")
    return httpx.Client(base_url=url, timeout=30)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


def details(client: httpx.Client) -> list[str]:
    """What readiness, a submission and two readings say; each must be a 503."""
    responses = [client.get("/readyz"), client.post("/tasks", json=ECHO), client.get("/tasks"), client.get("/queues")]
    assert {response.status_code for response in responses} == {503}, [response.text for response in responses]
    return [str(response.json()["detail"]) for response in responses]


@pytest.mark.parametrize("revision", [None, "0001"])
def test_an_older_schema_is_told_by_every_door_until_it_is_migrated(
    stack: Stack, empty_url: str, revision: str | None
) -> None:
    if revision:
        execute(empty_url, "CREATE SCHEMA longrun")
        command.upgrade(config(empty_url), revision)
    with start_api(stack) as client:
        for detail in details(client):
            assert "python -m jobcore.migrations" in detail
        upgrade(empty_url)
        until(lambda: client.get("/readyz").is_success, what="it is ready without a restart")
        assert client.post("/tasks", json=ECHO).status_code == httpx.codes.ACCEPTED
    assert "Traceback" not in stack.processes[0].log()


def test_a_schema_that_accepts_jobs_but_is_older_is_not_ready(stack: Stack, empty_url: str) -> None:
    upgrade(empty_url)
    execute(empty_url, "UPDATE longrun.alembic_version SET version_num = '0004'")
    with start_api(stack) as client:
        answer = client.get("/readyz")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "older than this version" in answer.json()["detail"]


def test_sessions_that_may_not_write_are_told_of_until_new_ones_may(stack: Stack, empty_url: str) -> None:
    server, _, database = empty_url.rpartition("/")
    upgrade(empty_url)
    execute(empty_url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    with start_api(stack) as client:
        for answer in (client.get("/readyz"), client.post("/tasks", json=ECHO)):
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            assert "default_transaction_read_only must be off" in answer.json()["detail"]
        assert client.get("/tasks").is_success
        execute(f"{server}/postgres", f"ALTER DATABASE {database} RESET ALL")
        until(lambda: client.get("/readyz").is_success, what="it is ready without a restart")
        assert client.post("/tasks", json=ECHO).status_code == httpx.codes.ACCEPTED
    assert "Traceback" not in stack.processes[0].log()


GRANT = re.compile('GRANT [A-Z, ]+"longrun"')


def use_as_owner(client: httpx.Client) -> None:
    """Do what each quota that PostgreSQL holds looks at: the rights that the message asks for must be enough for it."""
    quotas = {"queued": 9, "names": 9, "stored_bytes": 1_000_000}
    client.put("/quotas/alice", json=quotas).raise_for_status()
    client.post("/tasks", json={"task_type": "echo", "input": {}, "owner": "alice"}).raise_for_status()
    client.put(
        "/rate-limits/alice", params={"owner": "alice"}, json={"max_starts": 1, "window_s": 60}
    ).raise_for_status()


def test_a_role_without_rights_is_told_what_to_grant(stack: Stack, empty_url: str) -> None:
    upgrade(empty_url)
    role = empty_url.rpartition("/")[2]
    execute(empty_url, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    stack.database_url = empty_url.replace(empty_url.partition("//")[2].partition("@")[0], f"{role}:secret")
    try:
        with start_api(stack) as client:
            for detail in details(client):
                assert "permission denied" in detail
                told = GRANT.findall(detail)
                assert len(told) == 3
            for grant in told:
                execute(empty_url, f"{grant} TO {role}")
            until(lambda: client.get("/readyz").is_success, what="it is ready without a restart")
            use_as_owner(client)
        assert "Traceback" not in stack.processes[0].log()
    finally:
        stack.stop()
        execute(empty_url, f"DROP OWNED BY {role}")
        execute(empty_url, f"DROP ROLE {role}")
