"""The command line has an option for every field and parameter of the API, found by giving every option at once."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import typer

from longrun_api.app import create_app
from longrun_api.settings import ApiSettings
from longrun_client import cli
from tests.unit.client_server import AT, Request, ScriptedServer, answer, problem, task
from tests.unit.conftest import Run

PAGING = {"limit", "cursor"}
"""Parameters that the clients set to fetch page after page."""
TYPE = {"name": "echo", "queue": "default", "max_attempts": 3}
SCHEDULE = {
    "schedule_id": "s1", "name": "n", "cron": "@daily", "timezone": "UTC", "overlap": "skip", "missed_runs": "skip",
    "max_missed_runs": 1, "start_deadline_s": None, "paused": False, "next_at": AT, "last_at": None, "runs": 0,
    "skipped": 0, "missed": 0, "error": None, "created_at": AT, "updated_at": AT, "task": {"task_type": "echo"},
}  # fmt: skip
VALUES = {"JSON": '{"a": 1}', "TIME": "2026-01-02", "NAMES": "error", "[NAME=]PATH": f"a={__file__}"}
CHOICES = {"status": "FAILED", "overlap": "skip", "missed_runs": "skip"}
UPLOADED = {
    "file_id": "f1", "size": 1, "media_type": "text/x-python", "sha256": "0", "created_at": AT, "expires_at": AT,
}  # fmt: skip
MODES = {"as_json", "follow", "wait", "validate_only", "dry_run", "events", "raw", "help"}
"""Options that choose what a command does or prints, not what it sends with the request in question."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        scripted.on("GET /task-types", answer({"items": [TYPE]}))
        for route in ("GET /schedules/1", "POST /schedules", "PATCH /schedules/n"):
            scripted.on(route, answer(SCHEDULE))
        scripted.on("POST /files", answer(UPLOADED, 201))
        scripted.on("POST /tasks", answer(task("PENDING"), 202))
        for path in ("/tasks", "/tasks/j1/logs", "/tasks/j1/attempts", "/tasks/j1/output"):
            scripted.on(f"GET {path}", answer({"items": [], "next": None, "next_after": 7}))
        scripted.on("GET /tasks:count", answer({"counts": {}, "total": 0, "exact": True}))
        for path in ("/tasks:export", "/tasks/j1/events"):
            scripted.on(f"GET {path}", answer("", content_type="application/x-ndjson"))
        scripted.on("GET /events/stream", problem(422, "No", "it would not end"))
        for action in ("cancel", "retry"):
            scripted.on(f"POST /tasks:{action}", answer({"dry_run": False, "matched": 0, "changed": 0, "exact": True}))
        monkeypatch.setenv("LONGRUN_URL", scripted.url)
        yield scripted


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(ApiSettings()).openapi()


def every_option(words: Sequence[str]) -> Iterator[str]:
    """Each option of a command once, with a value that it takes."""
    command: Any = typer.main.get_command(cli.app)
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    for option in command.params:
        if option.param_type_name == "option" and option.name not in MODES:
            yield option.opts[0]
            if not option.is_flag:
                yield value_of(option)


def value_of(option: Any) -> str:
    return CHOICES.get(option.name) or VALUES.get(option.metavar, "1")


def paths(value: Mapping[str, Any], document: Mapping[str, Any]) -> set[str]:
    """The fields of a schema; those of the objects `retry`, `task` and `filter` one by one."""
    found = set()
    for name, shape in resolved(value, document)["properties"].items():
        parts = (resolved(part, document) for part in [shape, *shape.get("anyOf", [])])
        inner = next((part for part in parts if "properties" in part), None)
        found |= {f"{name}.{path}" for path in paths(inner, document)} if inner else {name}
    return found


def resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def sent_paths(value: Mapping[str, Any], known: set[str], start: str = "") -> set[str]:
    """The fields of a body, as `paths` names those that are known."""
    return {
        path
        for name, inner in value.items()
        for path in (
            sent_paths(inner, known, f"{start}{name}.")
            if isinstance(inner, dict) and f"{start}{name}" not in known
            else {f"{start}{name}"}
        )
    }


def request_to(server: ScriptedServer, route: str) -> Request:
    return next(each for each in reversed(server.requests) if each.line.partition("?")[0] == route)


@pytest.mark.parametrize(
    ("words", "route", "operation", "unsent"),
    [
        ("submit echo", "POST /tasks", "POST /tasks", set()),
        ("schedules create n @daily echo", "POST /schedules", "POST /schedules", set()),
        # to pause and to resume are commands of their own
        ("schedules change n", "PATCH /schedules/n", "PATCH /schedules/{schedule}", {"paused"}),
        ("cancel", "POST /tasks:cancel", "POST /tasks:cancel", {"ids", "dry_run"}),
        ("retry", "POST /tasks:retry", "POST /tasks:retry", {"ids", "dry_run"}),
    ],
)
def test_every_field_of_a_body_has_an_option(
    server: ScriptedServer, run: Run, document: dict[str, Any], words: str, route: str, operation: str, unsent: set[str]
) -> None:
    given = shlex.split(words)
    run(*given, *every_option(given))
    method, path = operation.split()
    described = document["paths"][path][method.lower()]
    known = paths(described["requestBody"]["content"]["application/json"]["schema"], document)
    request = request_to(server, route)
    assert sent_paths(request.json(), known) == known - unsent
    takes_key = any(each["name"] == "Idempotency-Key" for each in described["parameters"])
    assert (request.headers.get("Idempotency-Key") == '"1"') == takes_key


@pytest.mark.parametrize(
    ("words", "route", "operation"),
    [
        ("list", "GET /tasks", "GET /tasks"),
        ("count", "GET /tasks:count", "GET /tasks:count"),
        ("export", "GET /tasks:export", "GET /tasks:export"),
        ("watch j1", "GET /events/stream", "GET /events/stream"),
        ("logs j1", "GET /tasks/j1/logs", "GET /tasks/{task_id}/logs"),
        ("attempts j1", "GET /tasks/j1/attempts", "GET /tasks/{task_id}/attempts"),
        ("output j1", "GET /tasks/j1/output", "GET /tasks/{task_id}/output"),
    ],
)
def test_every_parameter_of_a_query_has_an_option(
    server: ScriptedServer, run: Run, document: dict[str, Any], words: str, route: str, operation: str
) -> None:
    given = shlex.split(words)
    run(*given, *every_option(given))
    method, path = operation.split()
    known = {each["name"] for each in document["paths"][path][method.lower()]["parameters"] if each["in"] == "query"}
    request = request_to(server, route)
    sent = {name for name, _ in parse_qsl(urlsplit(request.line.split()[1]).query)}
    sent |= {"after"} if "Last-Event-ID" in request.headers else set()  # a stream takes it either way
    assert sent - PAGING == known - PAGING
