"""Whatever a client sends: no server error, and every answer is what the OpenAPI document says."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Final

import pytest
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
]


ENDLESS = "/events/stream"
"""A response without an end; `test_api_events` looks at its beginning. What it refuses, it refuses at once."""
TAKE_ANYTHING = {
    "POST /files",
    "DELETE /concurrency-limits/{key}",
    "GET /rate-limits/{key}",
    "DELETE /rate-limits/{key}",
}


def checks_of(case: schemathesis.Case[Any]) -> list[Any]:
    """What must hold of the answer: a batch that is not atomic is answered, although its tasks are refused."""
    is_by_item = case.path == "/tasks:batch" and isinstance(case.body, dict) and case.body.get("atomic") is False
    return [check for check in CHECKS if not (is_by_item and check is negative_data_rejection)]


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
        case.call_and_validate(checks=checks_of(case), timeout=10)

    check()


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
