"""Cancel, retry and export of many tasks: what both clients and the command line ask for, and what they make of it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from longrun_client import AsyncLongrun, Longrun
from tests.unit.client_server import Answer, ScriptedServer, answer, task
from tests.unit.conftest import Run

CANCEL, RETRY, EXPORT = "POST /tasks:cancel", "POST /tasks:retry", "GET /tasks:export"
NDJSON = "application/x-ndjson"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def result(changed: int, *outcomes: tuple[str, str, str | None], **fields: Any) -> Answer:
    shown = [{"task_id": task_id, "outcome": outcome, "status": status} for task_id, outcome, status in outcomes]
    body = {"dry_run": False, "matched": changed, "changed": changed, "skipped": {}, "unknown": 0, "exact": True}
    return answer({**body, "outcomes": shown, **fields})


def lines(*values: object) -> str:
    return "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values)


def cut(text: str) -> Answer:
    """The beginning of a response whose connection then breaks."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", NDJSON)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
        handler.wfile.flush()
        handler.connection.close()
        handler.close_connection = True

    return send


def named(task_id: str, **fields: Any) -> dict[str, Any]:
    return {**task("SUCCESS"), "task_id": task_id, **fields}


def test_a_filter_is_sent_as_the_list_names_its_parameters(server: ScriptedServer) -> None:
    server.on(CANCEL, result(3, skipped={"SUCCESS": 2}))
    at = datetime(2026, 1, 2, tzinfo=UTC)
    with Longrun() as client:
        done = client.cancel_many(status="PENDING", queue=["a", "b"], metadata={"n": 1}, created_after=at)
    assert (done.changed, done.skipped, done.task) == (3, {"SUCCESS": 2}, None)
    assert server.requests[-1].json() == {
        "filter": {
            "status": ["PENDING"],
            "queue": ["a", "b"],
            "metadata": {"n": 1},
            "created_after": "2026-01-02T00:00:00+00:00",
        }
    }
    assert server.requests[-1].headers["Idempotency-Key"]


def test_no_condition_is_no_filter(server: ScriptedServer) -> None:
    server.on(RETRY, result(0))
    with Longrun() as client:
        client.retry_many(status=None, queue=[], all=True, dry_run=True)
        assert server.requests[-1].json() == {"all": True, "dry_run": True}
        client.retry_many(["j1"], idempotency_key="k")
    assert (server.requests[-1].json(), server.requests[-1].headers["Idempotency-Key"]) == ({"ids": ["j1"]}, '"k"')


def test_a_task_that_goes_on_in_the_background_is_given_back(server: ScriptedServer) -> None:
    server.on(CANCEL, answer(task("PENDING"), 202))

    async def cancel() -> Any:
        async with AsyncLongrun() as client:
            return await client.cancel_many(all=True)

    done = asyncio.run(cancel())
    assert (done.task.task_id, done.changed) == ("j1", 0)


def test_an_export_yields_each_task_once_over_broken_connections(server: ScriptedServer) -> None:
    whole = lines(named("a"), named("b"))
    server.on(EXPORT, cut(whole + '{"task_id": "c'), answer(lines(named("c")), content_type=NDJSON))
    with Longrun() as client:
        assert [each.task_id for each in client.export(queue="q", status=["SUCCESS"])] == ["a", "b", "c"]
    assert server.lines() == [f"{EXPORT}?queue=q&status=SUCCESS", f"{EXPORT}?queue=q&status=SUCCESS&after=b"]


def test_other_line_ends_in_strings_and_blank_lines_are_no_ends_of_values(server: ScriptedServer) -> None:
    odd = "a\u2028b\u0085c\x0bd"
    server.on(EXPORT, answer("  " + lines(named("a", metadata={"odd": odd})) + " ", content_type=NDJSON))

    async def export() -> list[Any]:
        async with AsyncLongrun() as client:
            return [each.metadata async for each in client.export()]

    assert asyncio.run(export()) == [{"odd": odd}]


def test_events_are_exported_and_continued(server: ScriptedServer) -> None:
    said = [{"seq": n, "at": "2026-01-02T03:04:05Z", "attempt": 1, "kind": "log", "data": {"n": n}} for n in (1, 2, 3)]
    server.on("GET /tasks/j1/events", cut(lines(*said[:2])), answer(lines(said[2]), content_type=NDJSON))
    with Longrun() as client:
        assert [event.data["n"] for event in client.events("j1")] == [1, 2, 3]
    assert server.lines()[-1] == "GET /tasks/j1/events?after=2"


def test_several_ids_are_cancelled_in_one_request(server: ScriptedServer, run: Run) -> None:
    server.on(CANCEL, result(1, ("a", "changed", "PENDING"), ("b", "skipped", "CANCELLED")))
    assert run("cancel", "a", "b", "a") == (0, "a  cancelled\nb  it is CANCELLED\n", "")
    assert server.requests[-1].json() == {"ids": ["a", "b"]}


@pytest.mark.parametrize("refused", [("b", "skipped", "SUCCESS"), ("b", "unknown", None)])
def test_an_id_that_could_not_be_changed_is_told_by_the_exit_code(
    server: ScriptedServer, run: Run, refused: tuple[str, str, str | None]
) -> None:
    server.on(RETRY, result(1, ("a", "changed", "FAILED"), refused))
    ran = run("retry", "a", "b")
    assert (ran.code, ran.out.splitlines()[0]) == (2, "a  retried")


def test_more_ids_than_one_request_takes_are_sent_in_several(server: ScriptedServer, run: Run) -> None:
    server.on(CANCEL, result(0))
    run("cancel", *[f"t{n}" for n in range(1500)])
    assert [len(request.json()["ids"]) for request in server.requests] == [1000, 500]


def test_without_a_terminal_a_filter_needs_yes(server: ScriptedServer, run: Run) -> None:
    server.on(CANCEL, result(12, dry_run=True))
    ran = run("cancel", "--queue", "q")
    assert (ran.code, ran.out) == (2, "")
    assert "this would cancel 12 tasks: repeat the command with --yes" in ran.err
    assert [request.json()["dry_run"] for request in server.requests] == [True]


def test_yes_changes_at_once_and_a_dry_run_changes_nothing(server: ScriptedServer, run: Run) -> None:
    server.on(CANCEL, result(12, skipped={"SUCCESS": 3}))
    assert run("cancel", "--queue", "q", "--yes") == (0, "12 cancelled; left as they are: 3 SUCCESS\n", "")
    assert server.requests[-1].json() == {"filter": {"queue": ["q"]}}
    server.on(RETRY, result(1, dry_run=True, exact=False))
    ran = run("retry", "--all", "--dry-run")
    assert (ran.code, ran.out) == (0, "1 would be retried (at least: counting ends at a bound)\n")
    assert server.requests[-1].json() == {"all": True, "dry_run": True}


def test_many_tasks_are_followed_until_the_background_task_has_ended(server: ScriptedServer, run: Run) -> None:
    server.on(CANCEL, answer(task("PENDING"), 202))
    ended = {**task("SUCCESS"), "result": {"matched": 5000, "changed": 5000, "skipped": {}, "exact": True}}
    server.on("GET /tasks/j1/stream", answer("", 204))
    server.on("GET /tasks/j1", answer(ended))
    ran = run("cancel", "--all", "--yes")
    assert (ran.code, json.loads(ran.out)["changed"]) == (0, 5000)
    assert "cancel goes on as task j1" in ran.err


@pytest.mark.parametrize(
    "words",
    [("cancel",), ("retry",), ("cancel", "a", "--queue", "q"), ("cancel", "a", "b", "--wait"), ("retry", "a", "--all")],
)
def test_what_may_be_a_mistake_sends_nothing(server: ScriptedServer, run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2
    assert server.requests == []


@pytest.mark.parametrize(("said", "code", "requests"), [("y", 0, 2), ("n", 130, 1)])
def test_a_terminal_is_asked_with_the_count(server: ScriptedServer, said: str, code: int, requests: int) -> None:
    server.on(CANCEL, result(7, dry_run=True), result(7))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "from longrun_client.cli import main; main()", "cancel", "--status", "pending"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        os.write(ours, f"{said}\n".encode())
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"Cancel 7 tasks? [y/N]" in err
    assert (process.returncode, len(server.requests)) == (code, requests)
    assert (b"7 cancelled" in out) == (said == "y")


def test_an_export_is_json_without_control_characters(server: ScriptedServer, run: Run) -> None:
    hostile = "a\x1b[2J\x9b31m\u2028"
    server.on(EXPORT, answer(lines(named("a", metadata={"said": hostile})), content_type=NDJSON))
    ran = run("export", "--queue", "q", "--after", "z")
    [line] = ran.out.split("\n")[:-1]
    assert json.loads(line)["metadata"] == {"said": hostile}
    assert not {"\x1b", "\x9b"} & set(ran.out)
    assert server.lines() == [f"{EXPORT}?queue=q&sort=created&after=z"]
