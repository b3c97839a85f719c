"""Another owner tries every operation on what alice has: it reads nothing of it and changes nothing.

The operations are those of the OpenAPI document. One that nobody here knows how to aim fails, so that no new route can
be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from longrun_api.app import create_app
from longrun_api.settings import ApiSettings
from tests.integration.belongings import FILE, KEY, SCHEDULE, SUBMISSION, TICK, Belongings, collect
from tests.integration.hand_worker import HandWorker
from tests.integration.keyed import KeyedApi

UNKNOWN: Final = "01890000-0000-7000-8000-000000000000"
OF_THE_REQUEST: Final = ("date", "x-request-id", "content-length")
OTHERS: Final = {"owner": "alice"}
ActAs = Callable[..., httpx.Client]


@dataclass(frozen=True)
class Try:
    """A request, the status that it must get, and what its answer must have."""

    status: int
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = KEY
    owner: str = "alice"
    has: Mapping[str, Any] = field(default_factory=dict)


NO_OPERATOR: Final = [Try(403)]
WITHOUT_OWNERS: Final = [Try(200)]
OF_NO_TASK: Final = {
    "GET /task-types": WITHOUT_OWNERS,
    "GET /healthz": WITHOUT_OWNERS,
    "GET /readyz": WITHOUT_OWNERS,
    "GET /workers": NO_OPERATOR,
    "GET /queues": NO_OPERATOR,
    "GET /queues/{name}": NO_OPERATOR,
    "PATCH /queues/{name}": [Try(403, {"paused": True})],
    "DELETE /queues/{name}": NO_OPERATOR,
    "GET /quotas": NO_OPERATOR,
    "GET /quotas/{owner}": [Try(403), Try(200, owner="bob", has={"owner": "bob"})],
    "PUT /quotas/{owner}": [Try(403, {"submissions": 1}), Try(403, {"submissions": 1}, owner="bob")],
    "DELETE /quotas/{owner}": [Try(403), Try(403, owner="bob")],
}
NO_FIGURES: Final = {
    **dict.fromkeys(("submitted", "succeeded", "failed", "cancelled", "retried"), 0), "wait_s": None, "run_s": None,
}  # fmt: skip
ALL_UNKNOWN: Final = {"matched": 0, "changed": 0}


def aims(hers: Belongings) -> Mapping[str, list[Try]]:
    """How to aim each operation that has no task and no schedule in its path."""
    own = {**SUBMISSION, "queue": "bobs", "input": {}, "metadata": {}, "tags": []}
    tick = {**TICK, "task": {"task_type": "echo", "input": {}}}
    key = {"Idempotency-Key": KEY}
    lists = [Try(200), Try(422, params=OTHERS), Try(200, params={"schedule_id": hers.schedule_id})]
    bulk = [
        Try(200, {"ids": list(hers.tasks)}, has={**ALL_UNKNOWN, "unknown": len(hers.tasks)}),
        Try(200, {"ids": list(hers.tasks), "dry_run": True}, has={**ALL_UNKNOWN, "unknown": len(hers.tasks)}),
        Try(200, {"filter": {"queue": [hers.queue]}}, has=ALL_UNKNOWN),
        Try(200, {"filter": {"queue": [hers.queue]}, "dry_run": True}, has=ALL_UNKNOWN),
        Try(200, {"filter": {"schedule_id": hers.schedule_id}}, has=ALL_UNKNOWN),
        Try(200, {"all": True}),
        Try(422, {"filter": OTHERS}),
    ]
    nothing = {status: {"count": 0, "exact": True} for status in ("PENDING", "RUNNING", "FAILED")}
    count = {"queue": hers.queue, "status": list(nothing)}
    return {
        **OF_NO_TASK,
        "POST /tasks": [
            Try(422, {**own, **OTHERS}),
            Try(422, {**own, "files": {"a": hers.file_id}}),
            Try(202, own, headers=key, has={"status": "PENDING"}),
        ],
        "POST /tasks:batch": [
            Try(422, {"items": [{**own, **OTHERS}]}),
            Try(200, {"items": [{**own, "dedupe_key": f"{KEY}-0"}]}, has={"refused": 0}),
        ],
        "GET /tasks": [*lists, Try(422, params={"limit": 1, "cursor": hers.cursor})],
        "GET /tasks:count": [*lists, Try(200, params=count, has={"counts": nothing})],
        "GET /stats": [Try(422, params=OTHERS), Try(200, params={"queue": hers.queue}, has={"total": NO_FIGURES})],
        "GET /tasks:export": [*lists, Try(200, params={"after": hers.tasks[0]})],
        "POST /tasks:cancel": bulk,
        "POST /tasks:retry": bulk,
        "GET /events/stream": [Try(422, params=OTHERS)],  # see below for what it shows
        "POST /schedules": [
            Try(422, {**tick, **OTHERS}),
            Try(201, tick, headers={"Idempotency-Key": f"{KEY}-schedule"}, has={"owner": "bob"}),
        ],
        "GET /schedules": [Try(200), Try(422, params=OTHERS)],
        "POST /keys": [
            Try(422, {"name": "x", "scopes": ["read"], **OTHERS}),
            Try(201, {"name": "x", "scopes": ["read"]}, has={"owner": "bob"}),
        ],
        "POST /stream-tokens": [Try(201)],
        "POST /files": [Try(201, "bob's")],
        "GET /webhook-secrets": [Try(200)],
        "POST /webhook-secrets": [Try(200, {})],
        "POST /webhooks": [
            Try(422, {"url": "https://example.com/", **OTHERS}),
            Try(
                201,
                {"url": "https://example.com/"},
                headers={"Idempotency-Key": f"{KEY}-webhook"},
                has={"owner": "bob"},
            ),
        ],
        "GET /webhooks": [Try(200), Try(200, params={"cursor": hers.webhook_cursor})],
        "GET /audit-log": [Try(200), Try(422, params=OTHERS)],
        "GET /keys": [Try(200), Try(200, params={"after": "0" * 12})],
        "GET /concurrency-limits": [Try(200, has={"items": []}), Try(422, params=OTHERS)],
        "PUT /concurrency-limits/{key}": [Try(422, {"max_running": 0}, OTHERS), Try(200, {"max_running": 0})],
        "DELETE /concurrency-limits/{key}": [Try(422, params=OTHERS), Try(204)],
        "GET /rate-limits": [Try(200, has={"items": []}), Try(422, params=OTHERS)],
        "GET /rate-limits/{key}": [Try(404), Try(422, params=OTHERS), Try(422, key="alice%1Fkey")],
        "PUT /rate-limits/{key}": [
            Try(422, {"max_starts": 1, "window_s": 9}, OTHERS),
            Try(422, {"max_starts": 1, "window_s": 9}, key="alice%1Fkey"),
            Try(200, {"max_starts": 1, "window_s": 9}),
        ],
        "DELETE /rate-limits/{key}": [Try(422, params=OTHERS), Try(204)],
    }


BODIES: Final = {
    "PATCH /schedules/{schedule}": {"paused": True},
    "POST /keys/{key_id}/rotate": {},
    "PATCH /webhooks/{webhook_id}": {"enabled": False},
    "POST /webhooks/{webhook_id}/secrets": {},
}
NAMED: Final = ("{task_id}", "{schedule}", "{key_id}", "{file_id}", "{webhook_id}")
"""What is in the path of an operation on one thing of somebody's."""
OPEN: Final = {"GET /healthz", "GET /readyz"}
"""What anybody may ask."""
OPERATIONS: Final = [
    f"{method.upper()} {path}"
    for path, methods in create_app(ApiSettings(database_url="postgresql://nobody@localhost/none"))
    .openapi()["paths"]
    .items()
    for method in methods
]
"""Those of the OpenAPI document."""


@pytest.fixture(scope="module")
def hers(keyed: KeyedApi) -> Iterator[Belongings]:
    """What alice has."""
    with HandWorker(keyed.stack.database_url, keyed.stack.redis_url, "hand-alice") as worker:
        yield collect(keyed, worker)


def test_another_owner_reads_and_changes_nothing_by_any_operation(hers: Belongings, act_as: ActAs) -> None:
    bob, known, before = act_as("bob"), aims(hers), hers.state()
    # those on one thing first: the things that bob makes later have the same names
    assert before.count("alices-secret") > 5
    for operation in sorted(OPERATIONS, key=lambda each: not any(name in each for name in NAMED)):
        method, path = operation.split(" ", 1)
        if any(name in path for name in NAMED):
            for here, unknown in places(path, hers):
                body = BODIES.get(operation)
                answer, of_nothing = (bob.request(method, each, json=body) for each in (here, unknown))
                assert answer.status_code == 404, (operation, answer.text)
                assert shown(answer, here) == shown(of_nothing, unknown), operation
        else:
            assert operation in known, f"nobody knows how to aim {operation} at the tasks of another owner: add it"
            for each in known[operation]:
                place = path.format(key=each.key, name=hers.queue, owner=each.owner)
                answer = bob.request(method, place, json=each.json, params=each.params, headers=each.headers)
                assert answer.status_code == each.status, (operation, each, answer.text)
                assert not [secret for secret in hers.secrets if secret in told(answer, each)], (operation, each)
                if each.has:
                    assert answer.json().items() >= each.has.items(), (operation, each, answer.text)
        assert hers.state() == before, operation


def places(path: str, hers: Belongings) -> Iterator[tuple[str, str]]:
    """The paths of all that alice has, each with a path of nothing."""
    no_key = "0" * len(hers.key_id)
    unknown = dict.fromkeys(("task_id", "schedule", "file_id", "webhook_id"), UNKNOWN)
    nothing = path.format(**unknown, key_id=no_key, name=FILE)
    for task in hers.tasks:
        things = {"task_id": task, "schedule": hers.schedule_id, "key_id": hers.key_id, "file_id": hers.file_id}
        things |= {"webhook_id": hers.webhook_id}
        yield path.format(**things, name=FILE), nothing
    if "{schedule}" in path:
        yield path.format(schedule=SCHEDULE), path.format(schedule="unknown")


def test_without_a_key_there_is_nothing(hers: Belongings, keyed: KeyedApi) -> None:
    before = hers.state()
    with keyed.client(None) as anyone:
        for operation in OPERATIONS:
            method, path = operation.split(" ", 1)
            place = path.format(
                task_id=hers.tasks[0],
                schedule=SCHEDULE,
                key_id=hers.key_id,
                file_id=hers.file_id,
                webhook_id=hers.webhook_id,
                name=FILE,
                key=KEY,
                owner="bob",
            )
            answer = anyone.request(method, place, json=BODIES.get(operation))
            assert answer.status_code == (200 if operation in OPEN else 401), (operation, answer.text)
            assert not [secret for secret in hers.secrets if secret in answer.text]
    assert hers.state() == before


def shown(answer: httpx.Response, place: str) -> tuple[Any, ...]:
    """The status, headers and body, without what names the request."""
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    headers = {name: value for name, value in answer.headers.items() if name not in OF_THE_REQUEST}
    return answer.status_code, headers, str(body).replace(place.split("/")[2], "…")


def told(answer: httpx.Response, asked: Try) -> str:
    """All that an answer says, but for what it repeats of the request."""
    text = f"{answer.headers} {answer.text}"
    body = asked.json if isinstance(asked.json, dict) else {}
    for given in (*body.get("ids", ()), *body.get("files", {}).values(), *asked.params.values()):
        text = text.replace(str(given), "…")
    return text


def test_a_route_that_nobody_knows_how_to_aim_is_noticed(hers: Belongings) -> None:
    known = aims(hers)
    aimed = [name for name in OPERATIONS if name in known or any(named in name for named in NAMED)]
    assert aimed == OPERATIONS
    assert set(known) <= set(OPERATIONS), "an operation is gone"
