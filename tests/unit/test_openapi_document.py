"""The OpenAPI document as a whole: what generators of clients broke on, and need no generator to be found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request

from longrun_api.app import create_app
from longrun_api.openapi_document import OpenApiDocument
from longrun_api.parameters import declared
from longrun_api.settings import ApiSettings
from tests.waiting import PATIENCE_S

NOT_JSON_SCHEMA = {"ge", "gt", "le", "lt"}
"""Words of Pydantic, which reach a schema where a constraint stands behind a validator."""


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(ApiSettings(database_url="postgresql://nobody@127.0.0.1:1/none"))


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from objects(item)


def test_no_model_is_called_like_the_constructor_of_another(document: dict[str, Any]) -> None:
    """In Go, `NewTask` makes a `Task`."""
    names = set(document["components"]["schemas"])
    assert not {f"New{name}" for name in names} & names


def test_the_names_of_values_are_names(document: dict[str, Any]) -> None:
    names = [name for schema in objects(document) for name in schema.get("x-enum-varnames", [])]
    assert names
    assert [name for name in names if not name.isidentifier()] == []


def test_every_constraint_is_one_of_json_schema(document: dict[str, Any]) -> None:
    assert not [schema for schema in objects(document) if schema.keys() & NOT_JSON_SCHEMA]


def test_no_parameter_may_be_null(document: dict[str, Any]) -> None:
    parameters = [each for found in objects(document["paths"]) for each in found.get("parameters", [])]
    assert not [each["name"] for each in parameters if {"type": "null"} in each["schema"].get("anyOf", ())]


def test_a_task_may_be_submitted_as_json_or_as_a_form(document: dict[str, Any]) -> None:
    """In this order: generators that know one type of body take the first."""
    body = document["paths"]["/tasks"]["post"]["requestBody"]
    assert list(body["content"]) == ["application/json", "multipart/form-data"]


def test_no_default_in_a_body_is_an_object(document: dict[str, Any]) -> None:
    """Generated Go would have it as code."""
    bodies = [each["requestBody"] for each in objects(document["paths"]) if "requestBody" in each]
    assert bodies
    assert not [schema for schema in objects(bodies) if isinstance(schema.get("default"), dict)]


def test_a_route_takes_the_query_parameters_that_the_document_names(app: FastAPI, document: dict[str, Any]) -> None:
    """`check_parameters` does not ask the document, which would have to be built first."""
    taken = {
        (each.path_format, method.lower()): set(declared(each.original_route))
        for each in iter_route_contexts(app.routes)
        if isinstance(each.original_route, APIRoute)
        for method in each.methods or ()
    }
    named = {
        (path, method): {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert any(named.values())
    assert {operation: taken[operation] for operation in named} == named


def test_the_document_is_built_once_and_off_the_event_loop() -> None:
    may_end, begun = Event(), []

    def build() -> dict[str, Any]:
        begun.append(1)
        assert may_end.wait(PATIENCE_S)
        return {"openapi": "3.1.0"}

    async def ask() -> list[bytes]:
        document = OpenApiDocument(build)
        answers = [asyncio.create_task(document.respond(Request({"type": "http"}))) for _ in range(3)]
        await asyncio.sleep(0)
        may_end.set()
        return [bytes(answer.body) for answer in await asyncio.gather(*answers)]

    assert [json.loads(body) for body in asyncio.run(ask())] == [{"openapi": "3.1.0"}] * 3
    assert len(begun) == 1
