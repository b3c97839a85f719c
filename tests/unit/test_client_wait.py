"""`wait` returns the ended task, polls where no stream gets through, and keeps its deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import anyio
import pytest

from longrun_client import AsyncLongrun, Longrun, LongrunUnavailable, ProblemError, Status, Task
from tests.unit.client_server import ScriptedServer, answer, event, events, problem, task
from tests.waiting import PATIENCE_S

STREAM, GET = "GET /tasks/j1/stream", "GET /tasks/j1"
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
    server.on(GET, answer(task(seq=3)), answer(task("SUCCESS", seq=4, result={"n": 1})))
    server.on(STREAM, events(event(4, "state", status="SUCCESS")))
    assert wait(server).result == {"n": 1}
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "3", None]


def test_an_ended_task_needs_no_stream(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task("FAILED")))
    assert wait(server).status is Status.FAILED
    assert server.lines(STREAM) == []


@pytest.mark.parametrize("instead", [answer("<html>", 200, "text/html"), problem(406, "No", "no streams here")])
def test_without_a_stream_it_polls(server: ScriptedServer, wait: Wait, instead) -> None:  # type: ignore[no-untyped-def]
    server.on(GET, answer(task()), answer(task()), answer(task("SUCCESS")))
    server.on(STREAM, instead)
    assert wait(server).status is Status.SUCCESS


def test_the_deadline_holds_though_the_server_keeps_pinging(server: ScriptedServer, wait: Wait) -> None:
    server.on(GET, answer(task(progress={"done": 3, "total": 10})))
    server.on(STREAM, events(hold=threading.Event()))
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"task j1 did not end within 0.5 s: it is RUNNING, attempt 1, at 3 of 10"):
        wait(server, 0.5)
    assert 0.5 <= time.monotonic() - started < PATIENCE_S


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
