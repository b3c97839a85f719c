"""The security of the OpenAPI document: how callers are recognised, and which scope each operation needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from longrun_api.auth.scopes import scope_of
from longrun_api.auth.stream_tokens import PARAMETER, STREAMS

BEARER: Final = "bearer"
SCHEMES: Final = {
    BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "lr_…",
        "description": "An API key: `longrun keys create`, or `POST /keys`.",
    }
}


TOKEN: Final = {
    "name": PARAMETER,
    "in": "query",
    "required": False,
    "description": "Instead of the header Authorization, which `EventSource` cannot send: see `POST /stream-tokens`.",
    "schema": {"type": "string"},
}


def declare(document: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    """Declare the security of each operation of these routes in the document."""
    document["components"]["securitySchemes"] = SCHEMES
    for route in iter_route_contexts(list(routes)):
        operations = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            if route.endpoint and (operation := operations.get(method.lower())):
                scope = scope_of(route.endpoint)
                # for other kinds than OAuth 2.0, the list has roles (OpenAPI 3.1, Security Requirement Object)
                if STREAMS.fullmatch(route.path_format or ""):
                    operation["parameters"] = [*operation.get("parameters", []), TOKEN]
                operation["security"] = [] if scope is None else [{name: [scope.value]} for name in SCHEMES]
