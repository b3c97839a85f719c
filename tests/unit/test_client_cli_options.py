"""The command line has an option for every field and parameter of the API, found by giving every option at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import typer

from longrun_api.app import create_app
from longrun_api.settings import ApiSettings
from longrun_client import cli
from tests.unit.client_server import AT, Request, ScriptedServer, answer, problem, task
from tests.unit.conftest import Run

EVERY = "…"
"""Stands for every option of a command, but for those in MODES."""
COMMANDS = {
    "submitTask": ["submit echo …", "submit echo --validate-only"],
    "submitTasks": ["submit-many FILE --idempotency-key 1", "submit-many FILE --validate-only"],
    "listTasks": ["list …"],
    "countTasks": ["count …"],
    "exportTasks": ["export …"],
    "exportTaskEvents": ["export --events j1 --after 1"],
    "getTask": ["wait j1 …"],
    "getTaskWhy": ["why j1"],
    "getTaskLogs": ["logs j1 …"],
    "getTaskOutput": ["output j1 …"],
    "getTaskAttempts": ["attempts j1 …"],
    "streamTask": ["follow j1 …"],
    "streamEvents": ["watch j1 …"],
    "cancelTask": ["cancel j1"],
    "retryTask": ["retry j1 --idempotency-key 1"],
    "cancelTasks": ["cancel …", "cancel j1 j2 --dry-run"],
    "retryTasks": ["retry …", "retry j1 j2 --dry-run"],
    "listTaskFiles": ["files j1"],
    "listTaskInputFiles": ["files j1 --input"],
    "downloadTaskFile": ["download j1 n"],
    "downloadTaskInputFile": ["download j1 n --input"],
    "uploadFile": ["submit echo --file FILE"],
    "listDeliveries": ["webhooks deliveries j1"],
    "listWebhookSecrets": ["webhooks secrets"],
    "rotateWebhookSecret": ["webhooks rotate-secret …"],
    "redeliver": ["webhooks redeliver j1 …"],
    "createWebhook": ["webhooks create u …"],
    "listWebhooks": ["webhooks"],
    "getWebhook": ["webhooks show w"],
    "changeWebhook": ["webhooks change w …", "webhooks enable w"],
    "deleteWebhook": ["webhooks delete w"],
    "pingWebhook": ["webhooks ping w …"],
    "listDeliveriesOfWebhook": ["webhooks log w"],
    "listSecretsOfWebhook": ["webhooks secrets w"],
    "rotateSecretOfWebhook": ["webhooks rotate-secret w …"],
    "createSchedule": ["schedules create n @daily echo …"],
    "listSchedules": ["schedules list …"],
    "getSchedule": ["schedules show n"],
    "changeSchedule": ["schedules change n …"],
    "deleteSchedule": ["schedules delete n"],
    "pauseSchedule": ["schedules pause n …"],
    "resumeSchedule": ["schedules resume n …"],
    "runSchedule": ["schedules run n …"],
    "listTaskTypes": ["task-types"],
    "listWorkers": ["workers"],
    "listQueues": ["queues"],
    "getQueue": ["queues show n"],
    "changeQueue": ["queues pause n", "queues limit n 1", "queues rate-limit n 1/1s"],
    "deleteQueue": ["queues delete n"],
    "listLimits": ["limits …"],
    "putLimit": ["limits set n 1 …"],
    "deleteLimit": ["limits clear n …"],
    "listRateLimits": ["rate-limits …"],
    "getRateLimit": ["rate-limits show n …"],
    "putRateLimit": ["rate-limits set n 1/1s …"],
    "deleteRateLimit": ["rate-limits clear n …"],
    "createKey": ["keys create n …"],
    "listKeys": ["keys"],
    "getKey": ["keys show k"],
    "revokeKey": ["keys revoke k"],
    "rotateKey": ["keys rotate k …"],
    "getStats": ["stats …"],
    "listQuotas": ["quotas"],
    "getQuota": ["quotas show n"],
    "putQuota": ["quotas set n …"],
    "deleteQuota": ["quotas clear n"],
    "listAuditLog": ["audit-log …"],
}
"""Which commands make the request of an operation, by its id in the OpenAPI document."""
NO_COMMAND = {
    "getUploadedFile": "a file is uploaded and used by one `submit --file`",
    "deleteUploadedFile": "as above; a file that no submission has named is deleted by itself",
    "createStreamToken": "only a page in a browser needs one",
    "checkHealth": "for probes",
    "checkReadiness": "for probes",
}
LEFT_OUT = {
    "submitTask": {"Prefer": "`longrun wait` waits"},
    "getTask": {"after": "`longrun follow` shows what is new", "prefer": "`wait` does the same"},
    "cancelTask": {"Prefer": "`cancel --wait` waits with GET, also after a break"},
    "submitTasks": {"atomic": "all tasks of a chunk are accepted, or none"},
    "uploadFile": {"Content-Digest": "the client compares the digest in the answer"},
    "streamTask": {"last-event-id": "`after` does the same"},
    "streamEvents": {"last-event-id": "`after` does the same"},
    "redeliver": {"Idempotency-Key": "the client makes one"},
    "pingWebhook": {"Idempotency-Key": "the client makes one"},
    "changeSchedule": {"paused": "`schedules pause` and `resume`"},
    "createKey": {"expires_at": "--days"},
    "rotateKey": {"expires_at": "--days"},
}
"""What of an operation is not on the command line, and why, or what does it there."""
PAGING, AFTER = {"limit", "cursor"}, {"after"}
"""Parameters that the clients set to fetch page after page; `after` only in the lists of PAGED."""
PAGED = {"listQueues", "listLimits", "listRateLimits", "listKeys", "listQuotas", "listAuditLog"}
TYPE = {"name": "echo", "queue": "default", "max_attempts": 3}
SCHEDULE = {
    "schedule_id": "s1", "name": "n", "cron": "@daily", "timezone": "UTC", "overlap": "skip", "missed_runs": "skip",
    "max_missed_runs": 1, "start_deadline_s": None, "paused": False, "next_at": AT, "last_at": None, "runs": 0,
    "skipped": 0, "missed": 0, "error": None, "created_at": AT, "updated_at": AT, "task": {"task_type": "echo"},
}  # fmt: skip
VALUES = {"JSON": '{"a": 1}', "TIME": "2026-01-02", "NAMES": "error", "[NAME=]PATH": f"a={__file__}"}
CHOICES = {"last": "day", "status": "FAILED", "overlap": "skip", "missed_runs": "skip", "until": "stopped"}
UPLOADED = {
    "file_id": "f1", "size": 1, "media_type": "text/x-python", "sha256": "0", "created_at": AT, "expires_at": AT,
}  # fmt: skip
MODES = {"as_json", "follow", "wait", "validate_only", "dry_run", "events", "raw", "of_input", "help"}
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
        scripted.on("GET /tasks/j1", answer(task("SUCCESS")))
        scripted.on("GET /tasks/j1/stream", problem(422, "No", "it would not end"))
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


def find(document: Mapping[str, Any], operation: str) -> tuple[str, str, Mapping[str, Any]]:
    [found] = [
        (method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if described["operationId"] == operation
    ]
    return found


def parameters(described: Mapping[str, Any]) -> set[str]:
    """The parameters of a request, but for those of its path and of pages."""
    given = {each["name"] for each in described.get("parameters", []) if each["in"] != "path"}
    return given - PAGING - (AFTER if described["operationId"] in PAGED else set())


def fields(described: Mapping[str, Any], document: Mapping[str, Any]) -> set[str]:
    """The fields of a body of JSON."""
    content = described.get("requestBody", {}).get("content", {})
    return paths(content["application/json"]["schema"], document) if "application/json" in content else set()


def given_in(request: Request, known: set[str]) -> set[str]:
    """The parameters and fields that a request has."""
    query = {name for name, _ in parse_qsl(urlsplit(request.line.split()[1]).query)}
    key = {"Idempotency-Key"} if request.headers.get("Idempotency-Key", "").startswith('"1') else set()
    resumed = AFTER if "Last-Event-ID" in request.headers else set()  # a stream takes it either way
    is_json = request.headers.get("Content-Type") == "application/json"
    return query | key | resumed | (sent_paths(request.json(), known) if is_json else set())


@pytest.mark.parametrize("operation", COMMANDS)
def test_every_parameter_and_field_is_on_the_command_line_or_has_a_reason_not_to_be(
    server: ScriptedServer, run: Run, document: dict[str, Any], operation: str, tmp_path: Path
) -> None:
    method, path, described = find(document, operation)
    (tmp_path / "tasks").write_text('{"task_type": "echo"}')
    for line in COMMANDS[operation]:
        words = shlex.split(line.replace("FILE", str(tmp_path / "tasks")))
        run(*words[:-1], *every_option(words[:-1])) if words[-1] == EVERY else run(*words)
    known = parameters(described) | fields(described, document)
    template = re.compile(f"{method} {re.sub('{[a-z_]+}', '[^/?]+', path)}(\\?.*)?")
    found = [each for each in server.requests if template.fullmatch(each.line)]
    assert found, [each.line for each in server.requests]
    sent = {name for request in found for name in given_in(request, known)}
    assert known - sent == LEFT_OUT.get(operation, {}).keys()


def test_every_operation_has_a_command_or_a_reason_not_to(document: dict[str, Any]) -> None:
    operations = {each["operationId"] for methods in document["paths"].values() for each in methods.values()}
    assert COMMANDS.keys() | NO_COMMAND.keys() == operations
    assert not COMMANDS.keys() & NO_COMMAND.keys()
