"""`why`, warnings of submissions and the deletion of queues: what is asked, and what people read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anyio
import pytest

from longrun_client import AsyncLongrun, Longrun, ProblemError
from tests.unit.client_server import AT, ScriptedServer, answer, hang_up, problem, task
from tests.unit.conftest import Run

BLOCKED = {
    "task_id": "j1", "status": "PENDING", "cause": "concurrency_limit", "since": AT, "detail": "its \x1b[2J is full",
    "freed_by": "one of them ends", "blocking": ["j7", "j8"], "position": 10_001,
    "estimated_start": {"at": AT, "method": "run_times", "detail": "3 can run at once"},
}  # fmt: skip
RUNNING = {"task_id": "j1", "status": "RUNNING", "cause": "running", "detail": "it runs"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def test_both_clients_read_the_cause_and_ask_again_after_a_broken_connection(server: ScriptedServer) -> None:
    server.on("GET /tasks/j1/why", hang_up, answer(BLOCKED), answer(RUNNING))

    async def ask() -> str:
        async with AsyncLongrun() as client:
            return (await client.why("j1")).cause

    with Longrun() as client:
        found = client.why("j1")
    assert (found.cause, found.blocking, found.position) == ("concurrency_limit", ("j7", "j8"), 10_001)
    assert anyio.run(ask) == "running"


def test_the_cause_is_printed_in_words_or_as_json(server: ScriptedServer, run: Run) -> None:
    server.on("GET /tasks/j1/why", answer(BLOCKED), answer(RUNNING), answer(BLOCKED))
    lines = [line.strip().split(maxsplit=1) for line in run("why", "j1").out.splitlines()]
    assert ["cause", "concurrency_limit"] in lines
    assert ["position", "more than 10,000"] in lines
    assert ["blocking", "j7, j8"] in lines
    assert any(r"\u001b[2J" in " ".join(line) for line in lines), "no control character reaches the terminal"
    assert "position" not in run("why", "j1").out
    assert json.loads(run("why", "j1", "--json").out) == BLOCKED


def test_the_warning_of_a_submission_goes_to_stderr(server: ScriptedServer, run: Run) -> None:
    warning = {"cause": "queue_not_served", "detail": "no active worker serves the queue x"}
    server.on("POST /tasks", answer(task("PENDING") | {"warnings": [warning]}, 202))
    ran = run("submit", "echo", "--input", "{}")
    assert (ran.code, ran.out) == (0, "j1\n")
    assert ran.err.startswith("warning: no active worker serves the queue x\n")
    with Longrun() as client:
        assert client.submit("echo", {}).warnings[0].cause == "queue_not_served"


def test_a_deletion_says_what_it_did_or_why_not(server: ScriptedServer, run: Run) -> None:
    refused = problem(409, "The queue is in use", "it has tasks that have not ended")
    server.on("DELETE /queues/typo", hang_up, answer("", 204), refused)
    assert run("queues", "delete", "typo") == (0, "", "typo: deleted\n")
    with Longrun() as client, pytest.raises(ProblemError, match="tasks that have not ended"):
        client.delete_queue("typo")
