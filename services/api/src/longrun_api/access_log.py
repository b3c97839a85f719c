"""The access log: a line per request, with its route and neither its path nor its headers, which may hold secrets."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobcore.telemetry import logs
from longrun_api.prefixes import own_path
from longrun_api.problems import HttpError

ABORTED: Final = 499
"""The status that is logged if the client was gone before the response began, as nginx does."""

log = logs.get(__name__)


class AccessLog:
    """ASGI middleware that logs each request when its response has ended; `quiet` paths are left out."""

    def __init__(self, app: ASGIApp, quiet: frozenset[str]) -> None:
        self.app = app
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it."""
        if scope["type"] != "http" or own_path(scope) in self._quiet:
            await self.app(scope, receive, send)
            return
        begun, status, size = perf_counter(), ABORTED, 0

        async def send_and_count(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = int(message["status"])
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_and_count)
        finally:
            log.info(
                "request",
                method=scope["method"],
                route=_route(scope),
                status=status,
                duration_ms=round((perf_counter() - begun) * 1000, 3),
                bytes=size,
            )


def log_refusal(error: HttpError, request_id: str) -> None:
    """Log a request that never reached the application: its head or body was malformed, too large or too slow."""
    log.info("request", status=error.status, problem=error.slug, request_id=request_id)


def _route(scope: Mapping[str, Any]) -> str | None:
    """The path with names instead of values, such as `/tasks/{task_id}`; None if no route was found."""
    if "route" in scope:
        prefix: str = scope.get("app_root_path", scope.get("root_path", ""))
        return prefix + str(scope["route"].path)
    path: str = scope["path"]
    return path if "endpoint" in scope else None  # a plain route, whose path has no values
