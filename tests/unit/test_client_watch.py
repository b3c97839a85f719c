"""`watch` outlasts cuts and restarts, drops nothing, repeats nothing, and says where it can be continued."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import anyio
import pytest

from longrun_client import AsyncLongrun, Longrun, ProblemError, Status, TaskEvent
from tests.unit.client_server import AT, ScriptedServer, events, hang_up, problem

WATCH = "GET /events/stream"
Watch = Callable[..., list[TaskEvent]]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


def cursor(text: str) -> str:
    return f'event: cursor\ndata: {{"cursor": "{text}"}}\nid: {text}\nretry: 20\n\n'


def told(text: str, kind: str = "state", **data: Any) -> str:
    head = {"task_id": "j1", "task_type": "echo", "queue": "q", "seq": 1, "at": AT, "attempt": 1}
    return f"event: {kind}\ndata: {json.dumps(head | data)}\nid: {text}\n\n"


def _watch(server: ScriptedServer, count: int, **options: Any) -> list[TaskEvent]:
    with Longrun(server.url) as client:
        return list(islice(client.watch(**options), count))


def _watch_async(server: ScriptedServer, count: int, **options: Any) -> list[TaskEvent]:
    async def watch() -> list[TaskEvent]:
        found: list[TaskEvent] = []
        async with AsyncLongrun(server.url) as client:
            async for event in client.watch(**options):
                found.append(event)
                if len(found) == count:
                    break
        return found

    return anyio.run(watch)


@pytest.fixture(params=[_watch, _watch_async], ids=["sync", "async"])
def watch(request: pytest.FixtureRequest) -> Watch:
    chosen: Watch = request.param
    return chosen


def test_a_cut_is_continued_behind_the_last_event_or_cursor(server: ScriptedServer, watch: Watch) -> None:
    third = told("c3", "progress", done=1, total=2, message=None)
    server.on(
        WATCH,
        events(cursor("c0"), told("c1", status="RUNNING"), cursor("c2"), third[:60], cut=True),
        hang_up,
        events(cursor("c2"), third),
        events(cursor("c3"), told("c4", status="SUCCESS", seq=4)),
    )
    got = watch(server, 3)
    assert [(event.cursor, event.kind, event.status, event.seq) for event in got] == [
        ("c1", "state", Status.RUNNING, 1),
        ("c3", "progress", None, 1),
        ("c4", "state", Status.SUCCESS, 4),
    ]
    assert {(event.task_id, event.task_type, event.queue) for event in got} == {("j1", "echo", "q")}
    assert got[1].data == {"done": 1, "total": 2, "message": None}
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [None, "c2", "c2", "c3"]


def test_every_option_is_sent_and_a_cursor_given_is_where_it_starts(server: ScriptedServer, watch: Watch) -> None:
    server.on(WATCH, events(cursor("c7"), told("c8", status="FAILED")))
    watch(
        server, 1, after="c7", status=["FAILED", Status.CANCELLED], queue="a&b", tag=["x"], task_id=None, event="state"
    )
    [request] = server.requests
    assert request.headers["Last-Event-ID"] == "c7"
    assert parse_qsl(request.line.partition("?")[2]) == [
        ("status", "FAILED"),
        ("status", "CANCELLED"),
        ("queue", "a&b"),
        ("tag", "x"),
        ("event", "state"),
    ]


def test_a_cursor_whose_events_were_deleted_is_an_error_at_once(server: ScriptedServer, watch: Watch) -> None:
    server.on(WATCH, problem(410, "Events after the cursor were deleted", "start without it"))
    with pytest.raises(ProblemError) as raised:
        watch(server, 1, after="c1")
    assert raised.value.status == 410
    assert len(server.requests) == 1


@pytest.fixture
def command(server: ScriptedServer) -> list[str]:
    """The command line, as far as its arguments."""
    return [sys.executable, "-c", "from longrun_client.cli import main; main()", "--server", server.url, "watch"]


def test_the_command_prints_a_short_line_for_each_event_until_it_is_interrupted(
    server: ScriptedServer, command: list[str]
) -> None:
    goes_on = threading.Event()
    error = {"kind": "raised", "type": "ValueError", "message": "no\x1b[31m page"}
    server.on(
        WATCH,
        events(
            cursor("c0"),
            told("c1", status="PENDING", attempt=0),
            told("c2", "progress", done=3, total=10, message="fetching"),
            told("c3", status="FAILED", error=error),
            hold=goes_on,
        ),
    )
    with subprocess.Popen([*command, "j1", "--status", "failed"], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    goes_on.set()
    assert [line.rstrip("\n").partition(" ")[2] for line in lines] == [
        "PENDING   echo j1",
        "progress  echo j1  3/10 fetching",
        "FAILED    echo j1  attempt 1: raised ValueError: no\\u001b[31m page",
    ]
    assert (process.returncode, out, err) == (130, "", "stopped watching: the tasks continue\n")
    assert parse_qsl(server.requests[0].line.partition("?")[2]) == [("status", "FAILED"), ("task_id", "j1")]


def test_json_lines_have_the_cursor_from_which_to_continue(server: ScriptedServer, command: list[str]) -> None:
    goes_on = threading.Event()
    server.on(WATCH, events(cursor("c5"), told("c6", status="RUNNING"), hold=goes_on))
    with subprocess.Popen([*command, "--json", "--after", "c5"], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    goes_on.set()
    assert (line["cursor"], line["task_id"], line["data"]) == ("c6", "j1", {"status": "RUNNING"})
    assert server.requests[0].headers["Last-Event-ID"] == "c5"
