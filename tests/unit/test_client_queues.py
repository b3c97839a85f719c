"""Queues and limits from the client and the command line: what is sent, and what people read."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from longrun_client import Longrun, LongrunUnavailable, MaybeAccepted, UnexpectedAnswer
from tests.unit.client_server import ScriptedServer, answer, hang_up, problem, task
from tests.unit.conftest import Run

QUEUE = {
    "name": "default", "paused": False, "max_running": None, "ready": 12, "oldest_s": 0.8, "blocked": 0, "waiting": 3,
    "running": 2, "workers": 1, "children": 2,
}  # fmt: skip
LIMIT = {"key": "crm/7", "max_running": 3}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


def test_a_change_that_lost_its_answer_is_sent_again(server: ScriptedServer) -> None:
    server.on("PATCH /queues/default", hang_up, answer(QUEUE | {"paused": True}))
    server.on("PUT /concurrency-limits/crm%2F7", hang_up, answer(LIMIT))
    server.on("DELETE /concurrency-limits/crm%2F7", hang_up, answer("", 204))
    with Longrun() as client:
        assert client.pause_queue("default").paused
        assert client.set_concurrency_limit("crm/7", 3).max_running == 3
        client.clear_concurrency_limit("crm/7")
    assert len(server.requests) == 6


def test_an_empty_answer_where_there_should_be_one_is_not_longruns(server: ScriptedServer) -> None:
    server.on("GET /queues", answer("", 200))
    with Longrun() as client, pytest.raises(UnexpectedAnswer, match="the address of a Longrun server"):
        list(client.queues())


def test_a_server_that_is_away_leaves_no_doubt_about_a_task(server: ScriptedServer) -> None:
    server.on("PATCH /queues/default", hang_up)
    with Longrun() as client, pytest.raises(LongrunUnavailable) as caught:
        client.resume_queue("default")
    assert not isinstance(caught.value, MaybeAccepted)


def test_queues_are_a_table_or_json(server: ScriptedServer, run: Run) -> None:
    full = {
        "name": "full",
        "paused": True,
        "max_running": 0,
        "ready": 0,
        "oldest_s": None,
        "blocked": 1_000,
        "unserved": 7,
    }
    pages = [{"items": [QUEUE], "next": "default"}, {"items": [QUEUE | full | {"workers": 0}], "next": None}]
    server.on("GET /queues", *map(answer, [*pages, *pages]))
    ran = run("queues")
    assert server.lines()[-1] == "GET /queues?limit=100&after=default"
    assert (ran.code, ran.err) == (0, "")
    assert [line.split() for line in ran.out.splitlines()] == [
        "NAME PAUSED READY OLDEST BLOCKED WAITING UNSERVED RUNNING LIMIT RATE WORKERS ROOM".split(),  # noqa: SIM905
        ["default", "no", "12", "800", "ms", "0", "3", "0", "2", "none", "none", "1", "-"],
        ["full", "yes", "0", "-", "1000+", "3", "7", "2", "0", "none", "0", "-"],
    ]
    assert json.loads(run("queues", "--json").out.splitlines()[0]) == QUEUE


@pytest.mark.parametrize(
    ("arguments", "sent", "said"),
    [
        (("pause", "default"), {"paused": True}, "default: paused, no limit\n"),
        (("resume", "default"), {"paused": False}, "default: not paused, no limit\n"),
        (("limit", "default", "10"), {"max_running": 10}, "default: not paused, at most 10 at once\n"),
        (("limit", "default", "none"), {"max_running": None}, "default: not paused, no limit\n"),
    ],
)
def test_a_change_of_a_queue_sends_just_that_and_says_how_it_is_now(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], sent: dict[str, object], said: str
) -> None:
    server.on("PATCH /queues/default", answer(QUEUE | sent))
    assert run("queues", *arguments) == (0, said, "")
    assert server.requests[-1].json() == sent
    assert json.loads(run("queues", *arguments, "--json").out) == QUEUE | sent


def test_a_queue_that_nobody_serves_may_be_misspelt(server: ScriptedServer, run: Run) -> None:
    server.on("PATCH /queues/defualt", answer(QUEUE | {"name": "defualt", "paused": True, "workers": 0}))
    ran = run("queues", "pause", "defualt")
    assert (ran.code, ran.out) == (0, "defualt: paused, no limit\n")
    assert "no worker serves this queue now" in ran.err


def test_limits_are_listed_page_by_page_set_and_cleared(server: ScriptedServer, run: Run) -> None:
    first, second = LIMIT | {"owner": "ada"}, {"key": "x\x1b", "max_running": 1}
    pages = [{"items": [first], "next": "crm/7"}, {"items": [second], "next": None}]
    server.on("GET /concurrency-limits", *map(answer, pages))
    assert [line.split() for line in run("limits").out.splitlines()] == [
        ["OWNER", "KEY", "LIMIT"], ["ada", "crm/7", "3"], ["-", "x\\u001b", "1"],
    ]  # fmt: skip
    assert server.lines()[-1] == "GET /concurrency-limits?limit=100&after=crm%2F7"
    server.on("PUT /concurrency-limits/crm%2F7", answer(LIMIT))
    server.on("DELETE /concurrency-limits/crm%2F7", answer("", 204))
    assert run("limits", "set", "crm/7", "3") == (0, "crm/7: at most 3 at once\n", "")
    assert server.requests[-1].json() == {"max_running": 3}
    assert json.loads(run("limits", "set", "crm/7", "3", "--json").out) == LIMIT
    assert run("limits", "clear", "crm/7") == (0, "", "crm/7: one at a time\n")
    for command in (["set", "crm/7", "3"], ["clear", "crm/7"]):
        assert run("limits", *command, "--owner", "ada").code == 0
        assert server.lines()[-1].endswith(" /concurrency-limits/crm%2F7?owner=ada")
    run("limits", "--owner", "ada")
    assert server.lines()[-1] == "GET /concurrency-limits?limit=100&owner=ada"


def test_a_task_is_submitted_with_its_key_and_shown_with_it(server: ScriptedServer, run: Run) -> None:
    server.on("POST /tasks", answer(task("PENDING"), 202))
    server.on("GET /tasks/j1", answer(task(concurrency_key="crm/7")))
    assert run("submit", "echo", "--input", "{}", "--concurrency-key", "crm/7").code == 0
    assert server.requests[-1].json()["concurrency_key"] == "crm/7"
    assert ["concurrency", "crm/7"] in [line.split() for line in run("show", "j1").out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("queues", "limit", "default", "some"), "longrun: N: 'some' is neither a whole number nor none\n"),
        (("queues", "--json", "pause", "default"),
         "longrun: --json: put it after pause: longrun queues pause … --json\n"),
        (("queues", "pause", "Not A Queue"), "longrun: The request is not valid\n  name: String should match\n"),
        (("queues", "limit", "default"), "Missing argument 'N|none'"),
        (("limits", "set", "k", "many"), "Invalid value for 'N'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_exit_code_2(
    server: ScriptedServer, run: Run, arguments: tuple[str, ...], complaint: str
) -> None:
    server.on(
        "PATCH /queues/Not%20A%20Queue",
        problem(422, "The request is not valid", "", ("name", "String should match")),
    )
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
