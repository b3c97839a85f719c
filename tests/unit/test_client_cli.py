"""The command line: results on stdout, the rest on stderr, and an exit code that scripts can rely on."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.unit.client_server import AT, ScriptedServer, answer, event, events, problem, task
from tests.unit.conftest import Run

STREAM, GET, POST = "GET /tasks/j1/stream", "GET /tasks/j1", "POST /tasks"
SCRAPE = {
    "name": "web_scrape",
    "description": "Fetch a page",
    "queue": "scrape",
    "input_schema": {"properties": {"url": {"type": "string"}, "depth": {"type": "integer"}}},
    "output_schema": {},
    "max_attempts": 3,
    "timeout_s": None,
    "example": {"url": "https://example.org/?a=1&b=2"},
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        scripted.on("GET /task-types", answer({"items": [SCRAPE]}))
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def _json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_submit_turns_arguments_into_the_input_and_prints_the_id(server: ScriptedServer, run: Run) -> None:
    server.on(POST, answer(task("PENDING"), 202))
    ran = run(
        "submit", "web_scrape", "--url", "https://example.org", "--depth", "-2", "--priority", "5",
        "--fairness-key", "t", "--tag", "a",
    )  # fmt: skip
    assert ran == (0, "j1\n", "accepted, follow it with: longrun follow j1\n")
    assert server.requests[-1].json() == {
        "task_type": "web_scrape",
        "input": {"url": "https://example.org", "depth": -2},
        "priority": 5,
        "fairness_key": "t",
        "tags": ["a"],
    }


def test_input_may_come_from_a_file_or_stdin_and_arguments_win(
    server: ScriptedServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on(POST, answer(task("PENDING"), 202))
    text = '{"url": "a", "depth": 1}'
    (tmp_path / "in.json").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    for given in (text, f"@{tmp_path / 'in.json'}", "-"):
        assert run("submit", "web_scrape", "--input", given, "--depth", "2").code == 0
        assert server.requests[-1].json()["input"] == {"url": "a", "depth": 2}


def test_submit_and_follow_shows_the_story_on_stderr_and_the_result_on_stdout(server: ScriptedServer, run: Run) -> None:
    server.on(POST, answer(task("PENDING"), 202))
    server.on(
        STREAM,
        events(
            event(1, "state", status="RUNNING"),
            event(2, "log", level="info", message="fetching \x1b[31m[bold]x"),
            event(3, "progress", done=1, total=None, message="page 1"),
            event(4, "state", status="SUCCESS"),
        ),
    )
    server.on(GET, answer(task("SUCCESS", seq=4, result={"title": "Ünï"}, started_at=AT, finished_at=AT)))
    ran = run("submit", "web_scrape", "--url", "u", "--follow")
    assert (ran.code, json.loads(ran.out)) == (0, {"title": "Ünï"})
    assert "Ünï" in ran.out
    assert [line.split(" ", 1)[1].split() for line in ran.err.splitlines()[:-1]] == [
        ["as", "j1"],
        ["RUNNING", "attempt", "1"],
        ["info", "fetching", "\\u001b[31m[bold]x"],
        ["progress", "1", "page", "1"],
    ]
    assert ran.err.splitlines()[-1] == "SUCCESS after 0 ms"


@pytest.mark.parametrize(("status", "code"), [("SUCCESS", 0), ("FAILED", 1), ("CANCELLED", 3)])
def test_following_exits_with_how_the_task_ended(server: ScriptedServer, run: Run, status: str, code: int) -> None:
    error = {"kind": "raised", "type": "ValueError", "message": "no", "attempt": 1} if status == "FAILED" else None
    server.on(STREAM, events(event(1, "state", status=status, error=error)))
    server.on(GET, answer(task(status, error=error)))
    ran = run("follow", "j1")
    assert ran.code == code
    assert (status == "FAILED") == ("FAILED: raised ValueError: no" in ran.err)
    assert ran.err.count(status) == 1


def test_json_has_every_event_and_then_the_task_on_stdout_and_nothing_else(server: ScriptedServer, run: Run) -> None:
    server.on(POST, answer(task("PENDING"), 202))
    server.on(STREAM, events(event(1, "state", status="SUCCESS")))
    server.on(GET, answer(task("SUCCESS")))
    ran = run("submit", "web_scrape", "--url", "u", "--follow", "--json")
    assert [line.get("status") or line["kind"] for line in _json_lines(ran.out)] == ["PENDING", "state", "SUCCESS"]
    assert ran.err == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["submit", "web_scrape", "--dpeth", "1"], "longrun: --dpeth: .*did you mean --depth"),
        (["submit", "web_scrape", "--depth", "x"], "longrun: --depth: 'x' is not a whole number"),
        (["submit", "web_scrap", "--url", "x"], "longrun: TASK_TYPE: there is no 'web_scrap'; task types: web_scrape"),
        (["submit", "--url", "x", "web_scrape"], "longrun: --url: the task type comes first"),
        (["submit", "web_scrape", "--input", "{"], "longrun: --input: this is not JSON"),
        (["submit", "web_scrape", "--input", "@/no/such"], "longrun: --input @/no/such: cannot be read"),
        (["--server", "localhost", "list"], "longrun: 'localhost' is not the address of a server: set --server"),
        (["list", "--status", "DONE"], "'DONE' is not one of"),
        (["show", "nope"], "longrun: There is nothing here"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    server: ScriptedServer, run: Run, arguments: list[str], complaint: str
) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert re.search(complaint, ran.err)
    assert "Traceback" not in ran.err


def test_a_refusal_lists_the_fields_one_a_line(server: ScriptedServer, run: Run) -> None:
    server.on(POST, problem(422, "Not valid", "", ("input.url", "is required"), ("queue", "unknown")))
    ran = run("submit", "web_scrape", "--input", "{}")
    assert ran == (2, "", "longrun: Not valid\n  input.url: is required\n  queue: unknown\n")


def test_nobody_there_is_exit_code_4(server: ScriptedServer, run: Run) -> None:
    ran = run("--server", "http://127.0.0.1:9", "workers")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("longrun: cannot reach Longrun at http://127.0.0.1:9 (")
    assert ran.err.count("\n") == 1


def test_interrupting_a_follow_says_that_the_task_goes_on(server: ScriptedServer) -> None:
    follow_on = threading.Event()
    server.on(STREAM, events(event(1, "state", status="RUNNING"), hold=follow_on))
    command = [sys.executable, "-c", "from longrun_client.cli import main; main()", "--server", server.url + "/"]
    with subprocess.Popen([*command, "follow", "j1"], stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        assert "RUNNING" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    follow_on.set()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        "stopped following: task j1 continues",
        "  follow it again  longrun follow j1",
        "  cancel it        longrun cancel j1",
    ]


def test_a_terminal_gets_a_live_line_that_copes_with_unknown_totals_and_retries(server: ScriptedServer) -> None:
    seen = threading.Event()
    server.on(
        STREAM,
        events(
            event(1, "state", status="RUNNING"),
            event(2, "progress", done=3, total=9, message="first try"),
            event(3, "state", status="PENDING", error={"kind": "raised", "type": "OSError", "message": "gone"}),
            event(4, "log", level="warning", message="careful"),
            event(5, "progress", done=40, total=None, message="[second] try"),
            hold=seen,
        ),
    )
    server.on(GET, answer(task("SUCCESS", seq=5, result=1)))
    terminal, its_other_end = pty.openpty()
    command = [sys.executable, "-c", "from longrun_client.cli import main; main()", "--server", server.url]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([*command, "follow", "j1"], stdout=-1, stderr=its_other_end, env=environment) as process:
        shown = ""
        while "40 [second] try" not in shown:
            assert select.select([terminal], [], [], 10)[0], shown
            shown += os.read(terminal, 65536).decode()
        seen.set()
        out, _ = process.communicate(timeout=10)
    shown += os.read(terminal, 65536).decode()
    os.close(terminal)
    os.close(its_other_end)
    assert (process.returncode, out) == (0, b"1\n")
    for part in ("attempt 1: raised OSError: gone", "careful", "SUCCESS"):
        assert part in shown


def test_hints_name_the_server_if_the_reader_would_reach_another(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LONGRUN_URL")
    server.on(POST, answer(task("PENDING"), 202))
    ran = run("--server", server.url, "submit", "web_scrape", "--url", "u")
    assert ran.err == f"accepted, follow it with: longrun --server {server.url} follow j1\n"


def test_list_fits_whole_ids_in_a_pipe(server: ScriptedServer, run: Run) -> None:
    long_id = "0192f0c1-7a2b-7c3d-8e4f-0123456789ab"
    items = [task(task_id=long_id, task_type="a_task_type_with_a_rather_long_name", progress={"done": 1, "total": 4})]
    server.on("GET /tasks", answer({"items": items, "next": None}))
    ran = run("list", "--status", "running", "--task-type", "echo", "--limit", "7")
    header, row = ran.out.splitlines()
    assert header.split() == ["ID", "TYPE", "STATUS", "TRY", "AGE", "TOOK", "PROGRESS"]
    assert row.split()[:4] == [long_id, "a_task_type_with_a_rather_long_name", "RUNNING", "1"]
    assert row.rstrip().endswith(" 1/4")
    assert server.requests[-1].line == "GET /tasks?status=RUNNING&task_type=echo&limit=7"


def test_list_takes_every_filter_of_the_api(server: ScriptedServer, run: Run) -> None:
    server.on("GET /tasks", answer({"items": [], "next": None}))
    ran = run(
        "list",
        *("--status", "failed", "--status", "cancelled", "--queue", "q", "--tag", "a", "--tag", "b"),
        *("--created-after", "2026-11-24T12:00:00+01:00", "--finished-before", "2026-11-25T00:00:00Z"),
        *("--metadata", '{"customer": 42}', "--input", '{"n": "1"}', "--error", "re fused", "--sort", "finished"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert parse_qsl(server.requests[-1].line.partition("?")[2]) == [
        ("status", "FAILED"),
        ("status", "CANCELLED"),
        ("queue", "q"),
        ("tag", "a"),
        ("tag", "b"),
        ("created_after", "2026-11-24T12:00:00+01:00"),
        ("finished_before", "2026-11-25T00:00:00+00:00"),
        ("metadata", '{"customer": 42}'),
        ("input", '{"n": "1"}'),
        ("error_contains", "re fused"),
        ("sort", "finished"),
        ("limit", "20"),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--created-after", "yesterday"], "'yesterday' is not a time such as"),
        (["--metadata", "customer=42"], "--metadata: this is not JSON"),
        (["--input", "[1]"], "--input: give a JSON object"),
    ],
)
def test_a_filter_that_cannot_be_sent_is_named(run: Run, arguments: list[str], complaint: str) -> None:
    ran = run("list", *arguments)
    assert ran.code == 2
    assert complaint in " ".join(ran.err.split())


def test_show_has_everything(server: ScriptedServer, run: Run) -> None:
    receipt = {"requested_at": AT, "acknowledged_at": AT, "stopped_at": None, "method": None}
    server.on(GET, answer(task(tags=["x"], metadata={"k": 1}, input={"in": 1}, result=[2], cancel=receipt, queue="q")))
    out = run("show", "j1").out
    for part in ("j1", "echo", "RUNNING", "x", '{"k": 1}', '"in": 1', "2", "still stopping", "q, priority 0"):
        assert part in out


def test_logs_can_be_followed(server: ScriptedServer, run: Run) -> None:
    server.on(
        STREAM,
        events(event(1, "state", status="RUNNING"), event(2, "log", level="info", message="hi"),
               event(3, "state", status="FAILED")),
    )  # fmt: skip
    ran = run("logs", "j1", "--follow")
    assert ran.code == 0
    assert [line.split()[1:] for line in ran.out.splitlines()] == [["info", "hi"]]


def test_output_is_printed_as_it_comes_by_a_line_each_or_raw(server: ScriptedServer, run: Run) -> None:
    told = events(event(1, "state", status="RUNNING"), event(2, "output", name="token", data="Hel"),
                  event(3, "log", level="info", message="hi"), event(4, "output", name="token", data="lo"),
                  event(5, "output", name="row", data={"n": 1}), event(6, "state", status="SUCCESS"))  # fmt: skip
    items = [{"seq": 2, "at": AT, "attempt": 1, "name": "token", "data": "Hel"}]
    server.on(STREAM, told)
    server.on("GET /tasks/j1/output", answer({"items": items, "next_after": 2}), answer({"items": [], "next_after": 2}))
    lines = run("output", "j1", "--follow").out.splitlines()
    assert [line.split(maxsplit=2)[1:] for line in lines] == [["token", "Hel"], ["token", "lo"], ["row", '{"n": 1}']]
    assert run("output", "j1", "--follow", "--raw").out == 'Hello{"n": 1}\n'
    assert [json.loads(line)["data"] for line in run("output", "j1", "--json").out.splitlines()] == ["Hel"]


def test_following_a_task_shows_its_output(server: ScriptedServer, run: Run) -> None:
    server.on(STREAM, events(event(1, "output", name="token", data="Hel"), event(2, "state", status="SUCCESS")))
    server.on(GET, answer(task("SUCCESS", seq=2)))
    assert "token     Hel" in run("follow", "j1").err


def test_cancel_can_wait_until_the_process_has_stopped(server: ScriptedServer, run: Run) -> None:
    stopping = {"requested_at": AT, "acknowledged_at": None, "stopped_at": None, "method": None}
    server.on("DELETE /tasks/j1", answer(task("CANCELLED", cancel=stopping), 202))
    server.on(
        GET, answer(task("CANCELLED", cancel=stopping)), answer(task("CANCELLED", cancel=stopping | {"stopped_at": AT}))
    )
    assert run("cancel", "j1").out == "CANCELLED, its run is being stopped\n"
    assert run("cancel", "j1", "--wait").out == "CANCELLED\n"
    assert len(server.lines(GET)) == 2


def test_workers_and_task_types_are_listed(server: ScriptedServer, run: Run) -> None:
    running = {"task_id": "j1", "task_type": "web_scrape", "slot": 0, "attempt": 2, "started_at": AT}
    worker = {"id": "w1", "host": "box", "pid": 7, "queues": ["a", "b"], "concurrency": 2, "version": "1",
              "state": "active", "started_at": AT, "heartbeat_at": AT, "tasks": [running]}  # fmt: skip
    server.on("GET /workers", answer({"items": [worker]}))
    out = run("workers").out
    assert out.splitlines()[1].split()[:6] == ["w1", "active", "1/2", "a,", "b", "box"]
    assert out.splitlines()[2].split() == ["j1", "runs", "web_scrape"]
    assert _json_lines(run("workers", "--json").out)[0]["tasks"] == [running]
    assert "longrun submit web_scrape --url 'https://example.org/?a=1&b=2'" in run("task-types").out
    assert [line["name"] for line in _json_lines(run("task-types", "--json").out)] == ["web_scrape"]


def test_a_worker_shows_what_it_runs_of_what_it_has_room_for(server: ScriptedServer, run: Run) -> None:
    running = {"task_id": "j1", "task_type": "web_scrape", "lane": "thread", "slot": 0, "attempt": 2, "started_at": AT}
    room = {"process": 1, "async": 32, "thread": 32}
    worker = {"id": "w1", "host": "box", "pid": 7, "queues": ["a"], "concurrency": 2, "jobs_per_child": 32,
              "runs": {"process": 1, "async": 0, "thread": 3}, "room": room, "version": "1", "state": "active",
              "started_at": AT, "heartbeat_at": AT, "tasks": [running]}  # fmt: skip
    server.on("GET /workers", answer({"items": [worker]}))
    _, head, first = run("workers").out.splitlines()
    assert head.split()[2] == "4/36", "of one lane it could start 32 more"
    assert first.split() == ["j1", "runs", "thread", "web_scrape"]


def test_retry_prints_the_status_and_follows_what_comes_then(server: ScriptedServer, run: Run) -> None:
    server.on("POST /tasks/j1/retry", answer(task("PENDING", seq=4), 202))
    assert run("retry", "j1").out == "PENDING\n"
    server.on(STREAM, events(event(4, "state", status="PENDING"), event(5, "state", status="SUCCESS")))
    server.on(GET, answer(task("SUCCESS", seq=5, result={"n": 1})))
    ran = run("retry", "j1", "--follow")
    assert (ran.code, json.loads(ran.out)) == (0, {"n": 1})
    assert server.requests[-2].headers["Last-Event-ID"] == "3"


def test_a_task_that_cannot_be_retried_says_why(server: ScriptedServer, run: Run) -> None:
    server.on("POST /tasks/j1/retry", problem(409, "The task cannot be retried now", "it is RUNNING"))
    assert run("retry", "j1") == (2, "", "longrun: The task cannot be retried now: it is RUNNING\n")


def test_following_shows_an_end_that_was_not_the_last(server: ScriptedServer, run: Run) -> None:
    error = {"kind": "raised", "type": "ValueError", "message": "no"}
    server.on(
        STREAM,
        events(
            event(1, "state", status="FAILED", error=error, retried=True),
            event(2, "state", status="PENDING", reason="manual"),
            event(3, "state", status="SUCCESS"),
        ),
    )
    server.on(GET, answer(task("SUCCESS", seq=3)))
    shown = [line.split(" ", 1)[1].split() for line in run("follow", "j1").err.splitlines()[:-1]]
    assert shown[0] == ["FAILED", "attempt", "1:", "raised", "ValueError:", "no"]
    assert [line[0] for line in shown] == ["FAILED", "PENDING"]


def test_attempts_are_listed_with_their_tracebacks(server: ScriptedServer, run: Run) -> None:
    def attempt(number: int, outcome: str, **fields: object) -> dict[str, object]:
        worker = {"id": f"w{number}", "host": "here"}
        whole = {"seq": 2 * number, "attempt": number, "outcome": outcome, "started_at": AT, "ended_at": AT}
        return whole | {"worker": worker, "error": None, **fields}

    error = {"kind": "raised", "type": "ValueError", "message": "no", "traceback": "Traceback \x1b[31m\n  line 1"}
    quiet = {"kind": "timeout", "type": "TimeoutError", "message": "it ran longer than 1 s", "traceback": None}
    items = [attempt(1, "retried", error=error), attempt(2, "timeout", error=quiet), attempt(3, "success")]
    pages = [{"items": items[:2], "next_after": 4}, {"items": items[2:], "next_after": 6}]
    end = {"items": [], "next_after": 6}
    server.on("GET /tasks/j1/attempts", *[answer(page) for page in (*pages, end)])
    out = run("attempts", "j1").out
    assert [line.split()[:2] for line in out.splitlines()[1:4]] == [
        ["1", "retried"],
        ["2", "timeout"],
        ["3", "success"],
    ]
    assert "Traceback \\u001b[31m\n  line 1" in out
    assert "timeout TimeoutError: it ran longer than 1 s" in out
    assert [request.line.partition("after=")[2] for request in server.requests] == ["0", "4", "6"]


SCHEDULE = {
    "schedule_id": "s1", "name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "overlap": "skip",
    "missed_runs": "run_once", "max_missed_runs": 10, "start_deadline_s": None, "paused": False, "next_at": AT,
    "last_at": None, "runs": 3, "skipped": 2, "missed": 1, "error": None, "created_at": AT, "updated_at": AT,
    "task": {"task_type": "web_scrape", "input": {"url": "u"}},
}  # fmt: skip


def test_a_schedule_is_made_from_arguments(server: ScriptedServer, run: Run) -> None:
    server.on("POST /schedules", answer(SCHEDULE, 201))
    ran = run(
        "schedules", "create", "nightly", "30 2 * * *", "web_scrape", "--url", "u", "--timezone", "Europe/Berlin",
        "--overlap", "allow_all", "--missed-runs", "run_all", "--start-deadline", "60", "--priority", "3", "--paused",
        "--concurrency-key", "k",
        "--fairness-key", "t",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("nightly: next at ")
    assert server.requests[-1].json() == {
        "name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "overlap": "allow_all",
        "missed_runs": "run_all", "start_deadline_s": 60, "paused": True,
        "task": {
            "task_type": "web_scrape", "priority": 3, "concurrency_key": "k", "fairness_key": "t",
            "input": {"url": "u"},
        },
    }  # fmt: skip


def test_a_change_sends_what_is_given_and_nothing_else(server: ScriptedServer, run: Run) -> None:
    server.on("PATCH /schedules/nightly", answer(SCHEDULE))
    assert run("schedules", "change", "nightly", "--cron", "@daily", "--input", '{"url": "v"}').code == 0
    assert server.requests[-1].json() == {"cron": "@daily", "task": {"input": {"url": "v"}}}
    ran = run("schedules", "change", "nightly")
    assert ran.code == 2
    assert "nothing to change" in ran.err


def test_schedules_are_listed_page_by_page_and_shown_with_their_tasks(server: ScriptedServer, run: Run) -> None:
    broken = SCHEDULE | {"name": "odd", "error": {"message": "cron: no\x1b", "at": None}}
    resting = SCHEDULE | {"name": "resting", "paused": True, "next_at": None}
    server.on(
        "GET /schedules", answer({"items": [SCHEDULE, broken], "next": "c"}), answer({"items": [resting], "next": None})
    )
    lines = run("schedules", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "nightly", "odd", "resting"]
    assert lines[1].split()[-4:] == ["3", "2", "1", "web_scrape"]
    assert "error" in lines[2]
    assert "paused" in lines[3]
    assert [line.split("cursor=")[-1] for line in server.lines("GET /schedules")][-1] == "c"
    server.on("GET /schedules/odd", answer(broken))
    server.on("GET /tasks", answer({"items": [task()], "next": None}))
    out = run("schedules", "show", "odd").out
    for part in ("30 2 * * * in Europe/Berlin", "cron: no\\u001b", "3 ran, 2 skipped, 1 missed", '"url": "u"', "j1"):
        assert part in out
    assert run("list", "--schedule", "odd").code == 0
    assert "schedule_id=s1" in server.requests[-1].line


def test_a_schedule_is_paused_resumed_run_and_deleted(server: ScriptedServer, run: Run) -> None:
    server.on("POST /schedules/nightly/pause", answer(SCHEDULE | {"paused": True, "next_at": None}))
    server.on("POST /schedules/nightly/resume", answer(SCHEDULE))
    server.on("POST /schedules/nightly/run", answer(task("PENDING"), 202))
    server.on("DELETE /schedules/nightly", answer(SCHEDULE))
    assert run("schedules", "pause", "nightly").out == "nightly: paused\n"
    assert run("schedules", "resume", "nightly").out.startswith("nightly: next at ")
    assert run("schedules", "run", "nightly").out == "j1\n"
    assert run("schedules", "delete", "nightly") == (0, "", "nightly is deleted\n")
    assert _json_lines(run("schedules", "delete", "nightly", "--json").out) == [SCHEDULE]


def test_show_logs_and_wait_take_several_ids(server: ScriptedServer, run: Run) -> None:
    for name, status in (("j1", "SUCCESS"), ("j2", "FAILED"), ("j3", "CANCELLED")):
        server.on(f"GET /tasks/{name}", answer(task(status, task_id=name)))
        line = {"seq": 1, "at": AT, "level": "info", "message": f"of {name}"}
        pages = answer({"items": [line], "next_after": 1}), answer({"items": [], "next_after": 1})
        server.on(f"GET /tasks/{name}/logs", *pages)
    assert [shown["task_id"] for shown in _json_lines(run("show", "j1", "j2", "--json").out)] == ["j1", "j2"]
    assert run("show", "j1", "j2").out.count("status") == 2
    assert run("wait", "j1", "j3", "j2") == (3, "j1  SUCCESS\nj3  CANCELLED\nj2  FAILED\n", "")
    assert run("wait", "j1").code == 0
    lines = _json_lines(run("logs", "j1", "j2", "--json").out)
    assert [(line["task_id"], line["message"]) for line in lines] == [("j1", "of j1"), ("j2", "of j2")]
    assert run("logs", "j1", "j2", "--follow").code == 2


def test_a_wait_gives_up_after_its_time(server: ScriptedServer, run: Run) -> None:
    server.on(GET, answer(task("RUNNING")))
    ran = run("wait", "j1", "--timeout", "0")
    assert (ran.code, ran.out) == (124, "")
    assert "task j1 did not end within 0 s: it is RUNNING" in ran.err


def test_a_submission_can_be_checked_only(server: ScriptedServer, run: Run) -> None:
    server.on(POST, answer(task("PENDING", priority=3)))
    checked = run("submit", "web_scrape", "--url", "u", "--priority", "3", "--validate-only", "--json")
    assert (checked.code, _json_lines(checked.out)[0]["priority"]) == (0, 3)
    assert server.requests[-1].line == f"{POST}?validate_only=true"
    assert "Idempotency-Key" not in server.requests[-1].headers
    assert run("submit", "web_scrape", "--url", "u", "--validate-only", "--follow").code == 2
