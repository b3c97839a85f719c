"""Ids on the command line: their beginning is enough, and the shell completes them, as it does names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from longrun_client import cli_completion
from tests.unit.client_server import AT, ScriptedServer, answer, task
from tests.unit.conftest import Run
from tests.waiting import PATIENCE_S

ID, OTHER = "01a20d81-31b7-76ab-b173-71d2561d351f", "01a20d81-31b8-76ab-b173-71d2561d351f"
SCHEDULE = {
    "schedule_id": OTHER, "name": "nightly", "cron": "@daily", "timezone": "UTC", "overlap": "skip",
    "missed_runs": "skip", "max_missed_runs": 1, "next_at": AT, "runs": 0, "skipped": 0, "missed": 0, "created_at": AT,
    "task": {"task_type": "echo"}, "start_deadline_s": None, "paused": False, "last_at": None, "error": None,
    "updated_at": AT,
}  # fmt: skip
COUNTS = {"paused": False, "ready": 1, "blocked": 0, "waiting": 0, "running": 0, "workers": 0}
HOSTILE = "$(touch pwned)"
BIN = str(Path(sys.executable).parent)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def page(*ids: str, task_type: str = "echo") -> dict[str, object]:
    return {"items": [task("SUCCESS", task_id=each, task_type=task_type) for each in ids], "next": None}


def test_the_beginning_of_an_id_is_enough(server: ScriptedServer, run: Run) -> None:
    server.on("GET /tasks", answer(page(ID)))
    server.on(f"GET /tasks/{ID}", answer(task("SUCCESS", task_id=ID)))
    assert run("show", "01a20d81-31B7", "--json").code == 0
    asked, got = server.lines()
    assert parse_qs(urlsplit(asked.split()[1]).query)["id_prefix"] == ["01a20d81-31B7"]
    assert got == f"GET /tasks/{ID}"


@pytest.mark.parametrize(
    ("ids", "complaint"),
    [
        ((), "longrun: 01a2: no task has an id that begins so\n"),
        ((ID, OTHER), f"longrun: 01a2: several tasks have ids that begin so, such as {ID} and {OTHER}\n"),
    ],
)
@pytest.mark.parametrize(
    "command",
    ["show", "wait", "logs", "attempts", "follow", "why", "output", "files", "cancel", "retry", "watch", "download"],
)
def test_a_beginning_of_no_task_or_of_several_is_refused(
    server: ScriptedServer, run: Run, command: str, ids: tuple[str, ...], complaint: str
) -> None:
    server.on("GET /tasks", answer(page(*ids)))
    assert run(command, "01a2", *(["name"] if command == "download" else [])) == (2, "", complaint)
    assert len(server.requests) == 1


def test_whole_ids_and_other_words_are_sent_as_they_are(server: ScriptedServer, run: Run) -> None:
    for text in (ID, ID.replace("-", ""), "j1", "a1"):
        server.on(f"GET /tasks/{text}", answer(task("SUCCESS", task_id=text)))
    assert run("show", ID, ID.replace("-", ""), "j1", "a1", "--json").code == 0
    assert len(server.requests) == 4


def test_an_export_continues_behind_a_beginning_of_an_id_or_a_seq(server: ScriptedServer, run: Run) -> None:
    server.on("GET /tasks", answer(page(ID)))
    for path in ("/tasks:export", f"/tasks/{ID}/events"):
        server.on(f"GET {path}", answer("", content_type="application/x-ndjson"))
    assert run("export", "--after", "01a20d81").code == 0
    assert run("export", "--after", "1234", "--events", ID).code == 0
    assert [line.partition("after=")[2] for line in server.lines() if "after" in line] == [ID, "1234"]


COMPLETED = {
    "show 01": {ID, OTHER},
    f"cancel {ID} 01a20d81-31b8": {OTHER},
    "list --task-type ": {"echo", "sleep"},
    "submit e": {"echo"},
    "queues pause ": {"default"},
    "schedules run ": {"nightly"},
    "list --schedule n": {"nightly"},
    "list --status FA": {"FAILED"},
}


@pytest.fixture
def names(server: ScriptedServer) -> ScriptedServer:
    types = [{"name": name, "queue": "default", "max_attempts": 3} for name in ("echo", "sleep", HOSTILE)]
    server.on("GET /tasks", answer(page(ID, OTHER, task_type=HOSTILE)))
    server.on("GET /task-types", answer({"items": types}))
    server.on(
        "GET /queues", answer({"items": [{"name": name, **COUNTS} for name in ("default", HOSTILE)], "next": None})
    )
    server.on("GET /schedules", answer({"items": [SCHEDULE], "next": None}))
    return server


def test_bash_completes_ids_of_the_server(names: ScriptedServer, tmp_path: Path) -> None:
    script = """
        eval "$(_LONGRUN_COMPLETE=source_bash longrun)"
        COMP_WORDS=(longrun show 01) COMP_CWORD=2; _longrun_completion longrun
        echo "${COMPREPLY[*]}"
    """
    env = {"LONGRUN_URL": names.url, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (set(done.stdout.split()), done.stderr) == ({ID, OTHER}, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_ids_and_names_but_no_word_that_it_might_execute(
    names: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr(cli_completion, "ANSWER_S", PATIENCE_S)
    monkeypatch.setenv("_LONGRUN_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    for line, words in COMPLETED.items():
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"longrun {line}")
        monkeypatch.setenv("COMP_WORDS", f"longrun {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
        ran = run()
        assert all(word in ran.out for word in words), line
        assert (ran.code, ran.err, "pwned" in ran.out) == (0, "", False)


def test_a_server_that_does_not_answer_completes_nothing(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("GET /tasks", answer("", 503))
    monkeypatch.setenv("_LONGRUN_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "longrun show 01")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert run() == (0, "\n", "")
    assert len(server.requests) == 1
