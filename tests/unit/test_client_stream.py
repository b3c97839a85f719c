"""The stream outlasts cuts and restarts, drops nothing, repeats nothing, and ends when the task has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import anyio
import pytest

from longrun_client import AsyncLongrun, Event, Longrun, LongrunUnavailable, Piece, ProblemError, Status
from tests.unit.client_server import ScriptedServer, answer, event, events, hang_up, problem, task
from tests.waiting import PATIENCE_S

STREAM = "GET /tasks/j1/stream"
Follow = Callable[..., list[Event]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


def _follow(server: ScriptedServer, after: int = 0, patience_s: float = 30) -> list[Event]:
    with Longrun(server.url, patience_s=patience_s) as client:
        return list(client.stream("j1", after))


def _follow_async(server: ScriptedServer, after: int = 0, patience_s: float = 30) -> list[Event]:
    async def follow() -> list[Event]:
        async with AsyncLongrun(server.url, patience_s=patience_s) as client:
            return [event async for event in client.stream("j1", after)]

    return anyio.run(follow)


@pytest.fixture(params=[_follow, _follow_async], ids=["sync", "async"])
def follow(request: pytest.FixtureRequest) -> Follow:
    chosen: Follow = request.param
    return chosen


def _seqs(got: list[Event]) -> list[int | None]:
    return [event.seq for event in got]


def test_a_cut_within_an_event_neither_drops_nor_repeats_one(server: ScriptedServer, follow: Follow) -> None:
    third = event(3, "log", level="info", message="äöü")
    server.on(
        STREAM,
        events(
            "retry: 20\n\n", event(1, "state", status="RUNNING"), event(2, "log", message="a"), third[:40], cut=True
        ),
        events(event(2, "log", message="a"), third, event(4, "state", status="SUCCESS")),
    )
    got = follow(server)
    assert _seqs(got) == [1, 2, 3, 4]
    assert got[2].data == {"level": "info", "message": "äöü"}
    assert got[3].status is Status.SUCCESS
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "2"]


def test_output_is_what_the_task_emitted_and_survives_a_cut(server: ScriptedServer) -> None:
    def piece(seq: int) -> str:
        return event(seq, "output", name="row", data={"n": seq})

    first = events("retry: 20\n\n", event(1, "state", status="RUNNING"), piece(2), event(3, "log", message="a"),
                   piece(4), piece(5)[:30], cut=True)  # fmt: skip
    rest = events(piece(4), piece(5), event(6, "state", status="SUCCESS"))

    async def output() -> list[Piece]:
        async with AsyncLongrun(server.url) as client:
            return [piece async for piece in client.output("j1")]

    server.on(STREAM, first, rest, first, rest)
    with Longrun(server.url) as client:
        got = list(client.output("j1"))
    assert [(piece.seq, piece.attempt, piece.name, piece.data) for piece in got] == [
        (seq, 1, "row", {"n": seq}) for seq in (2, 4, 5)
    ]
    assert anyio.run(output) == got


def test_live_progress_passes_though_it_has_no_seq(server: ScriptedServer, follow: Follow) -> None:
    live = [event(None, "progress", done=done, total=None, message=None) for done in (1, 2)]
    server.on(STREAM, events(event(1, "state", status="RUNNING"), *live, event(2, "state", status="FAILED")))
    got = follow(server)
    assert _seqs(got) == [1, None, None, 2]
    assert [event.data["done"] for event in got[1:3]] == [1, 2]


def test_a_server_that_restarts_is_waited_for(server: ScriptedServer, follow: Follow) -> None:
    def answer_then_restart(handler: BaseHTTPRequestHandler) -> None:
        threading.Thread(target=_restart, args=(server,)).start()
        events("retry: 50\n\n", event(1, "state", status="RUNNING"), cut=True)(handler)

    server.on(STREAM, answer_then_restart, events(event(2, "state", status="SUCCESS")))
    assert _seqs(follow(server)) == [1, 2]


def _restart(server: ScriptedServer) -> None:
    server.stop()
    time.sleep(0.4)  # several refused connections
    server.start()


def test_a_stream_that_is_closed_early_is_taken_up_again(server: ScriptedServer, follow: Follow) -> None:
    server.on(
        STREAM,
        events("retry: 20\n\n", event(1, "state", status="RUNNING")),
        events(event(2, "state", status="CANCELLED")),
    )
    server.on("GET /tasks/j1", answer(task("CANCELLED", seq=2)))
    assert _seqs(follow(server)) == [1, 2]


def test_resuming_at_the_last_event_ends_at_once(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, events())
    server.on("GET /tasks/j1", answer(task("SUCCESS", seq=7)))
    assert follow(server, after=7) == []
    assert server.requests[0].headers["Last-Event-ID"] == "7"
    assert len(server.lines(STREAM)) == 1


def test_nothing_left_to_tell_ends_it(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, answer("", 204))
    assert follow(server, after=7) == []
    assert len(server.requests) == 1


def test_the_terminal_event_ends_it_though_the_connection_stays_open(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, events(event(1, "state", status="SUCCESS"), hold=threading.Event()))
    assert _seqs(follow(server)) == [1]


def test_an_end_after_which_the_task_was_retried_is_no_end(server: ScriptedServer, follow: Follow) -> None:
    server.on(
        STREAM,
        events(
            event(1, "state", status="FAILED", retried=True),
            event(2, "state", status="PENDING"),
            event(3, "state", status="SUCCESS"),
        ),
    )
    assert _seqs(follow(server)) == [1, 2, 3]


def test_retry_is_honoured(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, events("retry: 700\n\n", cut=True), events(event(1, "state", status="SUCCESS")))
    started = time.monotonic()
    follow(server)
    assert 0.7 <= time.monotonic() - started < PATIENCE_S


def test_a_busy_server_is_tried_again(server: ScriptedServer, follow: Follow) -> None:
    server.on(
        STREAM,
        problem(503, "Busy", "later", Retry_After="0"),
        answer("<html>Bad gateway</html>", 502, "text/html"),
        events(event(1, "state", status="SUCCESS")),
    )
    assert _seqs(follow(server)) == [1]


def test_an_unknown_task_is_an_error_at_once(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, problem(404, "There is no such task", "j1"))
    with pytest.raises(ProblemError, match="There is no such task: j1"):
        follow(server)
    assert len(server.requests) == 1


def test_a_server_that_was_never_there_is_named(server: ScriptedServer, follow: Follow) -> None:
    server.stop()
    try:
        with pytest.raises(LongrunUnavailable, match=rf"cannot reach Longrun at {server.url} .*LONGRUN_URL"):
            follow(server)
    finally:
        server.start()


def test_a_server_that_stays_away_is_given_up(server: ScriptedServer, follow: Follow) -> None:
    server.on(STREAM, events("retry: 50\n\n", event(1, "state", status="RUNNING"), cut=True), hang_up)
    with pytest.raises(LongrunUnavailable, match="cannot reach Longrun"):
        follow(server, patience_s=0.3)
