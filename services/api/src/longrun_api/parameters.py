"""Refuse unknown and repeated query parameters: a misspelt filter must not be ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from fastapi import FastAPI, Request
from starlette.datastructures import QueryParams

from jobcore.errors import FieldError, InvalidInput


async def check_parameters(request: Request) -> None:
    """Raise InvalidInput for query parameters that the route does not declare or that are repeated."""
    if request.scope["query_string"]:
        known = _declared(request.app, request.scope["route"].path_format, request.method.lower())
        refuse_others(request.query_params, known)


def refuse_others(given: QueryParams, known: dict[str, bool]) -> None:
    """Raise InvalidInput unless each parameter is in `known`, which maps a name to whether it may be repeated."""
    if errors := list(_errors(given, known)):
        raise InvalidInput(*errors)


def _errors(given: QueryParams, known: dict[str, bool]) -> Iterator[FieldError]:
    for name, count in Counter(name for name, _ in given.multi_items()).items():
        if name not in known:
            names = f"known parameters: {', '.join(known)}" if known else "this path has none"
            yield FieldError(name[:100], f"unknown parameter; {names}")
        elif count > 1 and not known[name]:
            yield FieldError(name, f"is given {count} times; give it once")


@lru_cache(maxsize=256)
def _declared(app: FastAPI, path: str, method: str) -> dict[str, bool]:
    operation: dict[str, Any] = app.openapi()["paths"].get(path, {}).get(method, {})
    parameters = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    return {each["name"]: _is_list(each["schema"]) for each in parameters}


def _is_list(schema: dict[str, Any]) -> bool:
    return any(each.get("type") == "array" for each in [schema, *schema.get("anyOf", [])])
