"""`wait` returns the task once it has ended, outlasts an outage, and keeps its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import anyio
import pytest

from longrun_client import AsyncLongrun, Longrun, LongrunUnavailable, ProblemError, Status, Task
from longrun_client.wait import EXCHANGE_S
from tests.unit.client_server import ScriptedServer, answer, problem, task
from tests.waiting import PATIENCE_S

GET = "GET /tasks/j1"
Wait = Callable[..., Task]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


def _wait(server: ScriptedServer, timeout_s: float | None = None) -> Task:
    with Longrun(server.url) as client:
        return client.wait("j1", timeout_s)


def _wait_async(server: ScriptedServer, timeout_s: float | None = None) -> Task:
    async def wait() -> Task:
        async with AsyncLongrun(server.url) as client:
            return await client.wait("j1", timeout_s)

    return anyio.run(wait)


@pytest.fixture(params=[_wait, _wait_async], ids=["sync", "async"])
def wait(request: pytest.FixtureRequest) -> Wait:
    chosen: Wait = request.param
    return chosen


def test_it_returns_the_task_as_it_ended(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task("SUCCESS", result={"n": 1})))
    assert wait(server).result == {"n": 1}
    assert server.lines() == [f"{GET}?wait={EXCHANGE_S:.3f}"]


def test_it_asks_again_until_the_task_has_ended(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task()), answer(task("FAILED")))
    assert wait(server).status is Status.FAILED
    assert len(server.requests) == 2


def test_a_server_that_does_not_wait_is_not_asked_without_a_rest(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task(progress={"done": 3, "total": 10})))
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"task j1 did not end within 1.5 s: it is RUNNING, attempt 1, at 3 of 10"):
        wait(server, 1.5)
    assert 1.5 <= time.monotonic() - started < PATIENCE_S
    assert len(server.requests) == 2


def test_without_time_to_wait_the_task_is_looked_at_once(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task("SUCCESS")), answer(task()))
    assert wait(server, 0).status is Status.SUCCESS
    with pytest.raises(TimeoutError, match="did not end within 0 s: it is RUNNING"):
        wait(server, 0)


def test_an_answer_that_takes_as_long_as_the_wait_is_no_timeout(server: ScriptedServer) -> None:
    def late(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1.0)  # twice the timeout of an exchange
        answer(task("SUCCESS"))(handler)

    server.on(GET, late)
    with Longrun(server.url, timeout_s=0.5) as client:
        assert client.wait("j1").status is Status.SUCCESS
    assert len(server.requests) == 1


def test_an_outage_is_outlasted(server: ScriptedServer, wait: Wait) -> None:
    away = problem(503, "The store is away", "try again")
    server.on(GET, answer(task()), *[away] * 6, answer(task("SUCCESS")))
    assert wait(server).status is Status.SUCCESS


def test_an_unknown_task_is_an_error(server: ScriptedServer, wait: Wait) -> None:
    with pytest.raises(ProblemError):
        wait(server)


def test_a_server_that_is_away_is_an_error_though_time_is_left(server: ScriptedServer, wait: Wait) -> None:
    server.stop()
    try:
        with pytest.raises(LongrunUnavailable):
            wait(server, 30)
    finally:
        server.start()
