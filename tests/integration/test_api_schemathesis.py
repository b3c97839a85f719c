"""Whatever a client sends: no server error, and every answer is what the OpenAPI document says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ensure_resource_availability,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from longrun_api.schemas_events import FEED_EVENTS
from tests.processes import Stack

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
    allow_header_conformance,
    ensure_resource_availability,
]
"""All of Schemathesis, but for those of authentication, which there is none of, `use_after_free`, as DELETE of a task
cancels it, and `positive_data_acceptance`: a schema cannot say which task types exist, or what time it is."""
CONFIGURATION: Final = SchemathesisConfig.from_dict(
    # by default 413 and 431 do not count as refusals
    {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}
)
EXAMPLES: Final = int(os.environ.get("LONGRUN_SCHEMATHESIS_EXAMPLES", "40"))
"""Requests of each operation and kind; 160 make 10,000 in all."""
pytestmark = pytest.mark.timeout(max(300, 15 * EXAMPLES))
ROUNDS: Final = 20
"""The most attempts to make as many steps in sequences."""
OPERATIONS = [
    "POST /tasks",
    "GET /tasks",
    "GET /tasks:count",
    "GET /stats",
    "POST /tasks:batch",
    "GET /tasks:export",
    "POST /tasks:cancel",
    "POST /tasks:retry",
    "GET /tasks/{task_id}/events",
    "GET /tasks/{task_id}",
    "DELETE /tasks/{task_id}",
    "GET /tasks/{task_id}/logs",
    "GET /tasks/{task_id}/output",
    "GET /tasks/{task_id}/attempts",
    "GET /tasks/{task_id}/files",
    "GET /tasks/{task_id}/files/{name}",
    "POST /tasks/{task_id}/retry",
    "GET /tasks/{task_id}/stream",
    "GET /events/stream",
    "POST /schedules",
    "GET /schedules",
    "GET /schedules/{schedule}",
    "PATCH /schedules/{schedule}",
    "DELETE /schedules/{schedule}",
    "POST /schedules/{schedule}/pause",
    "POST /schedules/{schedule}/resume",
    "POST /schedules/{schedule}/run",
    "GET /task-types",
    "GET /workers",
    "GET /queues",
    "GET /queues/{name}",
    "PATCH /queues/{name}",
    "GET /audit-log",
    "GET /concurrency-limits",
    "PUT /concurrency-limits/{key}",
    "DELETE /concurrency-limits/{key}",
    "GET /rate-limits",
    "GET /rate-limits/{key}",
    "PUT /rate-limits/{key}",
    "DELETE /rate-limits/{key}",
    "GET /tasks/{task_id}/why",
    "DELETE /queues/{name}",
    "POST /keys",
    "GET /keys",
    "GET /keys/{key_id}",
    "POST /keys/{key_id}/rotate",
    "DELETE /keys/{key_id}",
    "POST /stream-tokens",
    "POST /files",
    "GET /files/{file_id}",
    "DELETE /files/{file_id}",
    "GET /tasks/{task_id}/input-files",
    "GET /tasks/{task_id}/input-files/{name}",
    "GET /healthz",
    "GET /readyz",
    "DELETE /quotas/{owner}",
    "GET /quotas",
    "GET /quotas/{owner}",
    "GET /tasks/{task_id}/deliveries",
    "GET /webhook-secrets",
    "POST /tasks/{task_id}/redeliver",
    "POST /webhooks",
    "GET /webhooks",
    "GET /webhooks/{webhook_id}",
    "PATCH /webhooks/{webhook_id}",
    "DELETE /webhooks/{webhook_id}",
    "GET /webhooks/{webhook_id}/secrets",
    "POST /webhooks/{webhook_id}/secrets",
    "POST /webhooks/{webhook_id}/ping",
    "GET /webhooks/{webhook_id}/deliveries",
    "POST /webhook-secrets",
    "PUT /quotas/{owner}",
]


ENDLESS = "/events/stream"
"""A response without an end: tests look at its beginning. What it refuses, it refuses at once."""
FORM = "multipart/form-data"
TASK = '{"task_type": "echo", "input": {}}'
TAKE_ANYTHING = {
    "POST /files",
    "DELETE /concurrency-limits/{key}",
    "GET /rate-limits/{key}",
    "DELETE /rate-limits/{key}",
}


def checks_of(case: schemathesis.Case[Any], status: int | None = None) -> list[Any]:
    """What must hold of the answer, which has this status.

    A batch that is not atomic is answered, although its tasks are refused. A part of a form is a file whatever is in
    it, so a form with wrong files is none. Schemathesis takes the schema of a stream for that of each event.
    """
    is_by_item = case.path == "/tasks:batch" and isinstance(case.body, dict) and case.body.get("atomic") is False
    unfit: set[Any] = {negative_data_rejection} if is_by_item or case.media_type == FORM else set()
    if case.path.endswith(ENDLESS) and status == httpx.codes.OK:
        unfit.add(response_schema_conformance)
    return [check for check in CHECKS if check not in unfit]


@pytest.fixture(scope="module")
def api_url(shared_stack: Stack) -> str:
    """An API whose requests wait for no task: some ask it to wait for as long as it allows."""
    return shared_stack.api(env={"LONGRUN_WAIT_MAX_S": "0"}).url


@pytest.fixture(scope="module")
def openapi(api_url: str) -> schemathesis.BaseSchema:
    """The document of a running API."""
    return schemathesis.openapi.from_url(f"{api_url}/openapi.json", config=CONFIGURATION)


def test_every_operation_is_tried(openapi: schemathesis.BaseSchema) -> None:
    assert sorted(f"{method.upper()} {path}" for path in openapi for method in openapi[path]) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_documented(openapi: schemathesis.BaseSchema, label: str, mode: GenerationMode) -> None:
    operation = openapi.find_operation_by_label(label)
    assert operation is not None
    takes_nothing = not list(operation.iter_parameters()) and not operation.body
    if mode is GenerationMode.NEGATIVE and (takes_nothing or label in TAKE_ANYTHING):
        pytest.skip("takes nothing that could be wrong")
    if mode is GenerationMode.POSITIVE and label.endswith(ENDLESS):
        pytest.skip("its answer has no end")

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def check(case: schemathesis.Case[Any]) -> None:
        response = case.call(timeout=10)
        case.validate_response(response, checks=checks_of(case, response.status_code))

    check()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_to_a_form_is_as_documented(openapi: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    """Without this one, `POST /tasks` would be tried with JSON most of the time."""
    forms = openapi["/tasks"]["POST"].as_strategy(mode).filter(lambda case: case.media_type == FORM)
    answers: set[int] = set()

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=forms)
    def check(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:  # a schema cannot say which task types exist, or which part comes first
            assert isinstance(case.body, dict)
            case.body = {"task": TASK, **{name: file for name, file in case.body.items() if name != "task"}}
        answers.add(case.call_and_validate(checks=checks_of(case), timeout=10).status_code)

    check()
    assert (202 in answers) == (mode is GenerationMode.POSITIVE)


def test_a_stream_of_many_tasks_opens_or_is_refused_as_documented(
    openapi: schemathesis.BaseSchema, api_url: str
) -> None:
    operation = openapi["/events/stream"]["GET"]
    opened: list[str] = []

    def frames(response: requests.Response) -> Iterator[dict[str, str]]:
        """The events of a stream, each of which is as documented: the document is made from the same models."""
        assert response.headers["content-type"].startswith("text/event-stream")
        frame: dict[str, str] = {}
        for line in response.iter_lines(chunk_size=1, decode_unicode=True):
            if line:
                name, _, value = line.partition(": ")
                frame[name] = value
            elif frame:
                assert frame.keys() <= {"id", "event", "data", "retry"}, frame
                FEED_EVENTS[frame["event"]].model_validate_json(frame["data"])
                yield frame
                frame = {}

    @settings(max_examples=EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(GenerationMode.POSITIVE))
    def check(case: schemathesis.Case[Any]) -> None:
        with requests.request(**case.as_transport_kwargs(), stream=True, timeout=10) as response:
            if response.status_code == 200:
                opened.append(next(frames(response))["id"])
            else:
                case.validate_response(response, checks=CHECKS)

    check()
    assert opened
    task = requests.post(f"{api_url}/tasks", json={"task_type": "echo", "input": {}}, timeout=10).json()["task_id"]
    with requests.get(f"{api_url}{ENDLESS}?after={opened[-1]}", stream=True, timeout=30) as response:
        assert any(frame["event"] == "state" and task in frame["data"] for frame in frames(response))


def test_every_answer_in_a_sequence_is_as_documented(openapi: schemathesis.BaseSchema) -> None:
    steps = 0

    class Sequences(openapi.exclude(path=ENDLESS).as_state_machine()):  # type: ignore[misc]
        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            nonlocal steps
            steps += 1
            case.validate_response(response, checks=checks_of(case))

    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=6,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for _ in range(ROUNDS):
        # a server's answers are not the same when Hypothesis repeats a sequence, so it gives up and has to start again
        with suppress(FlakyStrategyDefinition):
            run_state_machine_as_test(Sequences, settings=chosen)
        if steps >= EXAMPLES:
            break
    assert steps >= EXAMPLES
