"""Whatever goes wrong, the command says so in a line and ends with a documented code; ids and names are never cut."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import IO, Any

import pytest

from longrun_client.text import printable
from tests.docs.pages import ROOT
from tests.unit.client_server import AT, Answer, ScriptedServer, answer, problem, task
from tests.unit.conftest import Run
from tests.waiting import PATIENCE_S

README = ROOT / "libs/longrun-client/README.md"
LONG_NAME = "tenant-" + "x" * 240
COMMAND = [sys.executable, "-c", "from longrun_client.cli import main; main()"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        scripted.on("GET /tasks", answer({"items": [task()] * 20, "next": None}))
        yield scripted


def list_into(stdout: int | IO[bytes]) -> subprocess.CompletedProcess[str]:
    """Run `longrun list` in a process with this standard output."""
    return subprocess.run(
        [*COMMAND, "list"], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
    )


def queue(name: str) -> dict[str, Any]:
    return {"name": name, "paused": False, "ready": 1, "blocked": 0, "waiting": 0, "running": 0, "workers": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "echo", "--input", "{}", "--idempotency-key", "ü"),
        ("show", "\udcff\udcfe"),
        ("list", "--tag", "\udcff"),
        ("submit", "echo", "--input", "@/nonexistent"),
        ("list", "--metadata", "{"),
        ("--server", "http://[::1", "list"),
    ],
)
def test_an_argument_that_no_request_can_carry_is_refused_in_a_line(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("longrun: ")
    assert "Traceback" not in ran.err
    assert server.requests == []


def test_a_full_disk_is_said(server: ScriptedServer) -> None:
    with open("/dev/full", "wb") as full:
        ran = list_into(full)
    assert ran.returncode == 2
    assert ran.stderr == "longrun: [Errno 28] No space left on device\n"


def test_a_closed_pipe_is_the_end(server: ScriptedServer) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = list_into(writing)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_an_interrupt_ends_with_its_code(server: ScriptedServer) -> None:
    asked = threading.Event()
    never = threading.Event()

    def hang(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        never.wait(PATIENCE_S)

    server.on("GET /workers", hang)
    process = subprocess.Popen([*COMMAND, "workers"], stderr=subprocess.PIPE, text=True)
    assert asked.wait(PATIENCE_S)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    never.set()
    assert process.returncode == 130
    assert "Traceback" not in said


def interrupt(_: BaseHTTPRequestHandler) -> None:
    os.kill(os.getpid(), signal.SIGINT)


EXITS: dict[int, tuple[str, Answer]] = {
    0: ("wait j1", answer(task("SUCCESS"))),
    1: ("wait j1", answer(task("FAILED"))),
    2: ("wait j1", problem(404, "There is no such task", "")),
    3: ("wait j1", answer(task("CANCELLED"))),
    4: ("wait j1", answer("<html>", content_type="text/html")),
    124: ("wait j1 --timeout 0", answer(task("RUNNING"))),
    130: ("wait j1", interrupt),
}


@pytest.mark.parametrize("code", EXITS)
def test_each_documented_exit_code_means_what_is_said(server: ScriptedServer, run: Run, code: int) -> None:
    words, told = EXITS[code]
    server.on("GET /tasks/j1", told)
    ran = run(*words.split())
    assert (ran.code, "Traceback" in ran.err) == (code, False)


def test_the_documented_exit_codes_are_these() -> None:
    codes = re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)
    assert [int(code) for code in codes] == list(EXITS)


@pytest.mark.parametrize("command", ["queues", "limits", "list"])
def test_ids_and_names_are_never_cut(server: ScriptedServer, run: Run, command: str) -> None:
    server.on("GET /queues", answer({"items": [queue(LONG_NAME)], "next": None}))
    server.on("GET /concurrency-limits", answer({"items": [{"key": LONG_NAME, "max_running": 2}], "next": None}))
    server._answers["GET /tasks"] = [answer({"items": [task(task_type=LONG_NAME)], "next": None})]
    assert LONG_NAME in run(command).out


def test_count_says_where_counting_ended(server: ScriptedServer, run: Run) -> None:
    counts = {"PENDING": {"count": 10_000, "exact": False}, "FAILED": {"count": 3, "exact": True}}
    server.on("GET /tasks:count", answer({"counts": counts}))
    lines = [line.split() for line in run("count", "--queue", "q", "--created-after", AT).out.splitlines()]
    assert lines[1:] == [["PENDING", "10,000+"], ["FAILED", "3"]]
    assert server.lines() == ["GET /tasks:count?queue=q&created_after=2026-01-02T03%3A04%3A05%2B00%3A00"]


def test_fields_are_asked_for_beside_those_that_every_task_has(server: ScriptedServer, run: Run) -> None:
    assert run("list", "--fields", "queue,tags", "--json").code == 0
    assert "fields=created_at%2Clinks%2Cqueue%2Cstatus%2Ctags%2Ctask_id%2Ctask_type" in server.lines()[0]


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\u202e", "\u2066", "\u2028", "\x9b"])
def test_text_of_a_task_controls_neither_the_terminal_nor_the_direction_of_text(character: str) -> None:
    assert printable(f"a{character}b") == f"a\\u{ord(character):04x}b"
