"""HEAD for every path that has GET, and OPTIONS for every path (RFC 9110, sections 9.3.2 and 9.3.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longrun_api.prefixes import own_path

ROUTED: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
SERVER: Final = "*"
"""The path of an OPTIONS request about the whole server (RFC 9112, section 3.2.4)."""
HEAD: Final = "longrun.head"
"""The key of a scope whose request is a HEAD, although its method says GET."""


def is_head(scope: Scope) -> bool:
    """Whether the request is a HEAD: its response needs no body, and Range does not apply (RFC 9110, section 14.2)."""
    return HEAD in scope


def allowed(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """The methods that the path of this scope accepts, in alphabetical order; empty if the path does not exist."""
    routes = list(routes)
    if "app_root_path" in scope:  # a mounted application has changed it
        scope = {**scope, "root_path": scope["app_root_path"]}
    if own_path(scope) == SERVER:
        return sorted([*ROUTED, "HEAD", "OPTIONS"])
    found = [method for method in ROUTED if _is_routed(routes, {**scope, "method": method})]
    return sorted([*found, "OPTIONS", *(["HEAD"] if "GET" in found else [])]) if found else []


def _is_routed(routes: list[BaseRoute], scope: Scope) -> bool:
    # a mounted application takes any method as far as its route knows; ours serve files
    return any(
        route.matches(scope)[0] is Match.FULL and (not isinstance(route, Mount) or scope["method"] == "GET")
        for route in routes
    )


class Methods:
    """ASGI middleware that answers HEAD with the headers of GET, and OPTIONS with `Allow`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer OPTIONS, and pass any other request on; HEAD as GET."""
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                await _head(self._app, scope, receive, send)
                return
            if scope["method"] == "OPTIONS" and (methods := allowed(scope["app"].router.routes, scope)):
                await Response(status_code=204, headers={"Allow": ", ".join(methods)})(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    is_over = False

    async def send_headers(message: Message) -> None:
        nonlocal is_over
        if message["type"] == "http.response.start":
            is_over = True
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive_until_over() -> Message:
        # a stream continues until its client disconnects, so report that
        return {"type": "http.disconnect"} if is_over else await receive()

    as_get = {**scope, "method": "GET", HEAD: True}
    await app(as_get, receive_until_over, send_headers)
    scope["route"] = as_get.get("route")
