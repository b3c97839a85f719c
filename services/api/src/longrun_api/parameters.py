"""Refuse unknown and repeated query parameters: a misspelt filter must not be ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import QueryParams

from jobcore.errors import FieldError, InvalidInput

_declared: Final[dict[str, Mapping[str, bool]]] = {}
"""What `declared` has returned, by the id of the route, which cannot be hashed."""


async def check_parameters(request: Request) -> None:
    """Raise InvalidInput for query parameters that the route does not declare or that are repeated."""
    if request.scope["query_string"]:
        route: APIRoute = request.scope["route"]
        if route.unique_id not in _declared:
            _declared[route.unique_id] = declared(route)
        refuse_others(request.query_params, _declared[route.unique_id])


def refuse_others(given: QueryParams, known: Mapping[str, bool]) -> None:
    """Raise InvalidInput unless each parameter is in `known`, which maps a name to whether it may be repeated."""
    if errors := list(_errors(given, known)):
        raise InvalidInput(*errors)


def _errors(given: QueryParams, known: Mapping[str, bool]) -> Iterator[FieldError]:
    for name, count in Counter(name for name, _ in given.multi_items()).items():
        if name not in known:
            names = f"known parameters: {', '.join(known)}" if known else "this path has none"
            yield FieldError(name[:100], f"unknown parameter; {names}")
        elif count > 1 and not known[name]:
            yield FieldError(name, f"is given {count} times; give it once")


def declared(route: APIRoute) -> Mapping[str, bool]:
    """The query parameters of a route, each with whether it may be repeated.

    The OpenAPI document has the same, but to build it takes much longer.
    """
    beside = (each for each in (route.openapi_extra or {}).get("parameters", ()) if each["in"] == "query")
    schemas = dict(_schemas(route.dependant)) | {each["name"]: each["schema"] for each in beside}
    return {name: _is_list(schema) for name, schema in schemas.items()}


def _schemas(dependant: Dependant) -> Iterator[tuple[str, dict[str, Any]]]:
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):  # its fields are the parameters
            yield from annotation.model_json_schema()["properties"].items()
        else:
            yield parameter.alias, TypeAdapter(parameter.field_info.rebuild_annotation()).json_schema()
    for each in dependant.dependencies:
        yield from _schemas(each)


def _is_list(schema: Mapping[str, Any]) -> bool:
    return any(each.get("type") == "array" for each in [schema, *schema.get("anyOf", [])])
