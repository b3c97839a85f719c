"""The API while PostgreSQL or Redis is away, frozen or broken: quick and clear answers, and recovery by itself."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from math import ceil
from typing import Any

import httpx
import psutil
import psycopg2
import pytest
from httpx_sse import EventSource

from longrun_local import services
from longrun_local.ports import free_port
from longrun_local.postgres import EmbeddedPostgres
from longrun_local.valkey import EmbeddedValkey
from tests.backends import end_backends
from tests.integration.hand_worker import HandWorker
from tests.integration.test_api_submit import problem
from tests.processes import Stack
from tests.waiting import until

UNKNOWN = "01890000-0000-7000-8000-000000000000"
ROUTES = [
    ("POST", "/tasks"),
    ("GET", "/tasks"),
    ("GET", f"/tasks/{UNKNOWN}"),
    ("GET", f"/tasks/{UNKNOWN}/logs"),
    ("GET", f"/tasks/{UNKNOWN}/output"),
    ("GET", f"/tasks/{UNKNOWN}/stream"),
    ("DELETE", f"/tasks/{UNKNOWN}"),
    ("GET", "/workers"),
]
ECHO = {"task_type": "echo", "input": {}}
ANSWERED_S = 15.0
"""Without a deadline a request to a frozen server has no answer at all."""
POST_S = 0.5
"""A submission that waits for Redis takes longer."""


def call(api: httpx.Client, method: str, path: str) -> httpx.Response:
    return api.request(method, path, json=ECHO if method == "POST" else None)


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """A server that still has its sockets open and does nothing."""
    server = psutil.Process(pid)
    processes = [server, *server.children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("fault", ["stopped", "crashed", "frozen"])
def test_without_postgresql_each_route_says_so_quickly_and_recovers_by_itself(
    stack: Stack, postgres: EmbeddedPostgres, fault: str
) -> None:
    api_process = stack.api(env={"LONGRUN_DATABASE_TIMEOUT_S": "1"})
    with httpx.Client(base_url=api_process.url, timeout=30) as api:
        assert {call(api, *route).status_code for route in ROUTES} == {200, 202, 404}
        with away(postgres, fault):
            for method, path in ROUTES:
                started_at = time.monotonic()
                response = call(api, method, path)
                assert time.monotonic() - started_at < ANSWERED_S, path
                problem(response, 503, "store-unavailable")
                assert int(response.headers["retry-after"]) >= 1
            until(lambda: api.get("/readyz").status_code == 503)
            problem(api.get("/readyz"), 503, "store-unavailable")
            assert api.get("/healthz").status_code == 200
            assert api.get("/task-types").status_code == 200
        until(lambda: api.get("/readyz").status_code == 200)
        until(lambda: {call(api, *route).status_code for route in ROUTES} == {200, 202, 404})


@contextmanager
def away(postgres: EmbeddedPostgres, fault: str) -> Iterator[None]:
    if fault == "frozen":
        with frozen(postgres.pid):
            yield
        return
    postgres.stop(immediate=fault == "crashed")
    try:
        yield
    finally:
        postgres.start()


def test_many_requests_to_a_frozen_postgresql_are_all_answered_in_time(
    stack: Stack, postgres: EmbeddedPostgres
) -> None:
    url = stack.api().url

    async def get(api: httpx.AsyncClient) -> tuple[int, float]:
        started_at = time.monotonic()
        response = await api.get(f"/tasks/{UNKNOWN}")
        return response.status_code, time.monotonic() - started_at

    async def run() -> list[tuple[int, float]]:
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=200)) as api:
            return await asyncio.gather(*(get(api) for _ in range(100)))

    with frozen(postgres.pid):
        answers = asyncio.run(run())
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < ANSWERED_S


def test_readiness_needs_a_schema_and_a_writable_database(stack: Stack) -> None:
    with (
        httpx.Client(base_url=stack.api().url, timeout=30) as api,
        closing(psycopg2.connect(stack.database_url)) as connection,
    ):
        connection.autocommit = True
        cursor = connection.cursor()
        database = stack.database_url.rsplit("/", 1)[1]
        cursor.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        end_backends(stack.database_url, "longrun-intake")
        until(lambda: api.get("/readyz").status_code == 503)
        assert "read-only" in problem(api.get("/readyz"), 503, "store-unavailable")["detail"]
        cursor.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        end_backends(stack.database_url, "longrun-intake")
        until(lambda: api.get("/readyz").status_code == 200)

        cursor.execute("ALTER TABLE jobs RENAME TO elsewhere")
        until(lambda: api.get("/readyz").status_code == 503)
        assert "jobcore.migrations" in api.get("/readyz").json()["detail"]
        cursor.execute("ALTER TABLE elsewhere RENAME TO jobs")
        until(lambda: api.get("/readyz").status_code == 200)


def test_readiness_commits_for_real_but_at_most_once_a_second(stack: Stack) -> None:
    api_process = stack.api(env={"LONGRUN_KEEPER_S": "3600"})  # nothing else writes meanwhile
    with (
        httpx.Client(base_url=api_process.url, timeout=30) as api,
        closing(psycopg2.connect(stack.database_url)) as connection,
    ):
        connection.autocommit = True
        looks = []
        for _ in range(4):
            looks.append((_transaction_id(connection), time.monotonic()))
            for _ in range(20):
                assert api.get("/readyz").status_code == 200
            until(lambda: time.monotonic() - looks[-1][1] > 1.1)
        rises = [(then - first, at - since) for (first, since), (then, at) in pairwise(looks)]
    # each look here takes one transaction id itself; the first answers may be those of the start
    assert all(2 <= rise <= 1 + ceil(seconds) for rise, seconds in rises[1:]), rises


def _transaction_id(connection: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
def test_without_redis_tasks_are_accepted_as_quickly_as_ever(
    stack: Stack, redis_server: EmbeddedValkey, fault: str
) -> None:
    with httpx.Client(base_url=stack.api().url, timeout=30) as api:
        assert call(api, "POST", "/tasks").status_code == 202
        with frozen(redis_server.pid) if fault == "frozen" else stopped(redis_server):
            seconds = []
            for _ in range(30):
                started_at = time.monotonic()
                assert call(api, "POST", "/tasks").status_code == 202
                seconds.append(time.monotonic() - started_at)
            assert sorted(seconds)[15] < POST_S
            here = call(api, "POST", "/tasks").headers["location"]
            assert api.delete(here).status_code == 200
            until(lambda: api.get("/readyz").json()["redis"] == "down")
            assert api.get("/readyz").status_code == 200
        until(lambda: api.get("/readyz").json()["redis"] == "up")


@contextmanager
def stopped(server: EmbeddedValkey) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def test_a_stream_lives_through_an_outage_of_postgresql(
    stack: Stack, postgres: EmbeddedPostgres, redis_url: str
) -> None:
    process = stack.api()
    with httpx.Client(base_url=process.url, timeout=30) as api:
        here = call(api, "POST", "/tasks").headers["location"]
        with HandWorker(stack.database_url, redis_url) as worker:
            claim = worker.claim()
            with api.stream("GET", f"{here}/stream") as response:
                events = EventSource(response).iter_sse()
                assert [next(events).id, next(events).id] == ["1", "2"]
                with away(postgres, "crashed"):
                    until(lambda: api.get("/readyz").status_code == 503)
                    missed = "cannot check idle streams"
                    until(lambda: missed in process.log(), what="the stream looked in vain")
                until(lambda: api.get("/readyz").status_code == 200)
                worker.finish(claim, quiet=True)
                assert [event.id for event in events if event.data] == ["3"]


def test_an_unexpected_error_tells_where_to_look_and_nothing_else(stack: Stack) -> None:
    process = stack.api()
    with (
        httpx.Client(base_url=process.url, timeout=30) as api,
        closing(psycopg2.connect(stack.database_url)) as connection,
    ):
        connection.autocommit = True
        here = call(api, "POST", "/tasks").json()["links"]["self"]
        # a row that no version of Longrun writes
        connection.cursor().execute("UPDATE longrun.job_events SET kind = 'log', data = '{\"secret\": 1}'")
        document = problem(api.get(f"{here}/logs"), 500, "internal-error")
    incident = document["instance"].removeprefix("urn:longrun:incident:")
    assert not any(word in str(document) for word in ("secret", "pydantic", "Traceback", "LogLine"))
    assert incident in process.log()
    assert "LogLine" in process.log(), "the log has the traceback"


def test_tasks_are_accepted_again_by_an_api_that_started_before_its_servers(
    stack: Stack, postgres: EmbeddedPostgres, redis_server: EmbeddedValkey
) -> None:
    with stopped(redis_server):
        postgres.stop()
        try:
            port = free_port()
            stack.start("api", services.api("127.0.0.1", port))
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as api:
                until(lambda: _alive(api))
                problem(call(api, "POST", "/tasks"), 503, "store-unavailable")
                postgres.start()
                until(lambda: call(api, "POST", "/tasks").status_code == 202)
        finally:
            if postgres.pid is None:
                postgres.start()


def _alive(api: httpx.Client) -> bool:
    try:
        return api.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
