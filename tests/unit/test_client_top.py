"""`longrun top`: what a pipe gets once, and a terminal again and again."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from longrun_client.answers import TRIES
from tests.unit.client_server import AT, ScriptedServer, answer, hang_up, problem, task
from tests.unit.conftest import Run
from tests.waiting import PATIENCE_S

ID, LATER, WORKER = (f"01a20d81-31b7-76ab-b173-71d2561d351{digit}" for digit in "abc")
COUNTS = {"PENDING": {"count": 10_000, "exact": False}, "RUNNING": {"count": 1, "exact": True}}
QUEUE = {"name": "default", "paused": False, "ready": 4, "blocked": 0, "waiting": 0, "running": 1, "workers": 1}
FORBIDDEN = problem(403, "This is for callers without an owner", "")
AWAY = "PostgreSQL is away"


def running(task_id: str) -> dict[str, Any]:
    one = task("RUNNING", task_id=task_id, queue="default", started_at=AT, progress={"done": 1, "message": "x" * 99})
    return {"items": [one], "next": None}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    worker = {
        "id": WORKER, "host": "here", "pid": 1, "queues": ["default"], "concurrency": 2, "state": "active",
        "started_at": AT, "heartbeat_at": AT, "runs": {"process": 1}, "room": {"process": 1},
    }  # fmt: skip
    with ScriptedServer() as scripted:
        scripted.on("GET /tasks:count", answer({"counts": COUNTS}))
        scripted.on("GET /workers", answer({"items": [worker]}))
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def test_a_pipe_gets_queues_workers_and_running_tasks_once(server: ScriptedServer, run: Run) -> None:
    server.on("GET /queues", answer({"items": [QUEUE], "next": None}))
    server.on("GET /tasks", answer(running(ID)))
    ran = run("top", "--limit", "7")
    assert (ran.code, ran.err) == (0, "")
    numbers, queues, workers, tasks = (part.splitlines() for part in ran.out.split("\n\n"))
    assert numbers == ["10,000+ PENDING   1 RUNNING"]
    assert queues[1].split()[:3] == ["default", "no", "4"]
    assert workers[1].split()[:3] == [WORKER, "active", "1/2"]
    assert tasks[1].split()[:4] == [ID, "echo", "default", "1"]
    [asked] = server.lines("GET /tasks?")
    assert all(part in asked for part in ("status=RUNNING", "sort=created", "limit=7"))


def test_a_caller_with_an_owner_sees_its_tasks(server: ScriptedServer, run: Run) -> None:
    server.on("GET /queues", FORBIDDEN)
    server.on("GET /tasks", answer(running(ID)))
    ran = run("top")
    assert ran.code == 0
    assert ID in ran.out
    assert "shown to operators" in ran.out


def test_a_narrow_terminal_gets_whole_ids_again_and_again_and_an_outage_is_said(server: ScriptedServer) -> None:
    server.on("GET /queues", answer({"items": [QUEUE], "next": None}))
    server.on("GET /tasks", answer(running(ID)))
    terminal, its_other_end = pty.openpty()
    command = [sys.executable, "-c", "from longrun_client.cli import main; main()", "top", "--interval", "0.1"]
    env = {**os.environ, "COLUMNS": "60", "LINES": "40", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=its_other_end, stderr=its_other_end, env=env) as process:
        os.close(its_other_end)
        shown = read_until(terminal, ID)
        assert WORKER in shown
        server._answers["GET /tasks"] = [problem(500, AWAY, ""), *[hang_up] * TRIES, answer(running(LATER))]
        read_until(terminal, AWAY)
        read_until(terminal, "cannot reach Longrun")
        read_until(terminal, LATER)
        process.send_signal(signal.SIGINT)
        rest = read_until(terminal, None)
        assert process.wait(PATIENCE_S) == 130
    assert "Traceback" not in rest


def read_until(terminal: int, text: str | None) -> str:
    """What the terminal shows up to this text, or to the end."""
    shown = b""
    while text is None or text.encode() not in shown:
        assert select.select([terminal], [], [], PATIENCE_S)[0], shown
        try:
            shown += os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            assert text is None, shown
            break
    return shown.decode(errors="replace")
