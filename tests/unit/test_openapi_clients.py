"""The OpenAPI document suits generators: each rule here is one that a generated client once broke on."""

from __future__ import annotations

from typing import Any

from longrun_api.openapi_clients import camel_case, for_clients, with_plain_parameters

OVERLAP = {"enum": ["skip", "allow_all"], "type": "string"}
MISSED_RUNS = {"enum": ["skip", "run_once"], "type": "string"}


def shaped(**schemas: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """These schemas, for clients."""
    return for_clients(schemas)


def test_a_field_with_a_default_has_it_in_its_description_only() -> None:
    """openapi-typescript makes fields with a default mandatory."""
    field = {"type": "integer", "default": 0, "description": "How urgent.", "title": "Priority"}
    schema = shaped(Task={"properties": {"priority": field}, "type": "object"})["Task"]
    assert schema["properties"]["priority"] == {"type": "integer", "description": "How urgent. Default: `0`."}


def test_a_field_within_a_field_is_shaped_too() -> None:
    inner = {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}}
    schema = shaped(Task={"type": "object", "properties": {"inner": {"anyOf": [inner, {"type": "null"}]}}})["Task"]
    assert schema["properties"]["inner"]["anyOf"][0]["properties"] == {
        "on": {"type": "boolean", "description": "Default: `true`."}
    }


def test_a_property_that_is_called_default_or_title_stays() -> None:
    properties = {"default": {"type": "string"}, "title": {"type": "string"}}
    assert shaped(Task={"type": "object", "properties": properties})["Task"]["properties"] == properties


def test_values_of_two_enums_have_names_of_their_own() -> None:
    """In Go, the constants of all enums share one namespace."""
    schemas = shaped(Overlap=OVERLAP, MissedRuns=MISSED_RUNS)
    assert schemas["Overlap"]["x-enum-varnames"] == ["OVERLAP_SKIP", "OVERLAP_ALLOW_ALL"]
    assert schemas["MissedRuns"]["x-enum-varnames"] == ["MISSED_RUNS_SKIP", "MISSED_RUNS_RUN_ONCE"]


def test_an_answer_may_gain_fields_and_a_request_may_not() -> None:
    """Generated Go refuses unknown fields unless the schema allows them."""
    schemas = shaped(
        Task={"type": "object", "properties": {"a": {"type": "string"}}},
        Submission={"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
    )
    assert schemas["Task"]["additionalProperties"] is True
    assert schemas["Submission"]["additionalProperties"] is False


def test_names_are_in_camel_case() -> None:
    assert [camel_case(name) for name in ("get_task", "list_task_files", "alive")] == [
        "getTask",
        "listTaskFiles",
        "alive",
    ]


def test_a_header_that_may_be_repeated_is_one_string() -> None:
    """openapi-python-client leaves out an operation with an array in a header."""
    several = {"type": "array", "items": {"type": "string"}}
    given = {"anyOf": [several, {"type": "null"}], "description": "Which."}
    prefer, status = {"name": "prefer", "in": "header"}, {"name": "status", "in": "query"}
    operation = with_plain_parameters({"parameters": [prefer | {"schema": given}, status | {"schema": given}]})
    assert operation["parameters"] == [
        prefer | {"schema": {"type": "string"}},
        status | {"schema": several | {"description": "Which."}},  # and no parameter may be null
    ]
