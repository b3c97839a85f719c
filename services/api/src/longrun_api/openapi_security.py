"""The security of the OpenAPI document: how callers are recognised, and which scope each operation needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from longrun_api.auth.issuer import description_url
from longrun_api.auth.scopes import scope_of
from longrun_api.auth.stream_tokens import PARAMETER, STREAMS
from longrun_api.auth_modes import AuthMode
from longrun_api.settings import ApiSettings

BEARER: Final = "bearer"
OIDC: Final = "oidc"
API_KEY: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "lr_…",
    "description": "An API key: `longrun keys create`, or `POST /keys`.",
}


TOKEN: Final = {
    "name": PARAMETER,
    "in": "query",
    "required": False,
    "description": "Instead of the header Authorization, which `EventSource` cannot send: see `POST /stream-tokens`.",
    "schema": {"type": "string"},
}


def schemes(settings: ApiSettings) -> dict[str, Any]:
    """The ways in which callers are recognised, by their names; empty: nobody is asked."""
    found: dict[str, Any] = {BEARER: API_KEY} if AuthMode.KEYS in settings.auth else {}
    if AuthMode.OIDC in settings.auth:
        found[OIDC] = {
            "type": "openIdConnect",
            "openIdConnectUrl": description_url(str(settings.oidc_issuer)),
            "description": "A JWT of this issuer, as Authorization: Bearer.",
        }
    return found


def declare(document: dict[str, Any], routes: Iterable[BaseRoute], ways: Mapping[str, Any]) -> None:
    """Declare the security of each operation of these routes in the document: any of these schemes."""
    document["components"]["securitySchemes"] = ways
    for route in iter_route_contexts(list(routes)):
        operations = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            if route.endpoint and (operation := operations.get(method.lower())):
                scope = scope_of(route.endpoint)
                # for other kinds than OAuth 2.0, the list has roles (OpenAPI 3.1, Security Requirement Object)
                if STREAMS.fullmatch(route.path_format or ""):
                    operation["parameters"] = [*operation.get("parameters", []), TOKEN]
                operation["security"] = [] if scope is None else [{name: [scope.value]} for name in ways]
