"""A shorter way for `POST /tasks`, which must handle thousands of requests a second.

Its requests go straight from the checks of their headers to the function of the route. What lies between costs as much
as the function: routing, HEAD and OPTIONS, compression of responses to GET, exit stacks for uploaded files and for
dependencies, and handlers of exceptions, four deep. A traced request takes the long way, because FastAPI's telemetry
learns the route from the router.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longrun_api import problems
from longrun_api.prefixes import own_path

TELEMETRY: Final = "fastapi.telemetry"
"""The key of a scope that FastAPI's telemetry observes."""
Endpoint = Callable[[Request], Awaitable[Response]]


class Direct:
    """ASGI middleware that handles the requests with this method and path."""

    def __init__(self, app: ASGIApp, method: str, path: str, endpoint: Endpoint) -> None:
        self._app = app
        self._method = method
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, or pass it on."""
        if not self._takes(scope):
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = self._endpoint  # where Starlette's router puts it, for the access log
        request = Request(scope, receive)
        fault = None
        try:
            response = await self._endpoint(request)
        except Exception as error:
            response = await problems.answer(request, error)
            fault = None if isinstance(error, problems.KNOWN) else error
        await response(scope, receive, send)
        if fault is not None:
            raise fault  # as Starlette does, so that the server logs it

    def _takes(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["method"] == self._method
            and own_path(scope) == self._path
            and TELEMETRY not in scope
        )
