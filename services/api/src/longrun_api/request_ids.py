"""Request ids: `X-Request-Id` of a request, or a new id, in its response, problem document, log lines and span.

A client or proxy that sends an id finds it everywhere; others get one to quote in a report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex
from typing import Final

import structlog.contextvars
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = b"x-request-id"
VALID: Final = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,128}")
"""What ids of common proxies and tracers consist of. Anything else is replaced, so that it reaches no log."""
SPAN_ATTRIBUTE: Final = "http.request.header.x-request-id"


class RequestIds:
    """ASGI middleware that gives every request an id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add its id to the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _given(scope["headers"]) or new()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attribute(SPAN_ATTRIBUTE, [request_id])
        header = (HEADER, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [header, *message["headers"]]
            await send(message)

        await self.app(scope, receive, send_with_id)


def new() -> str:
    """A new id."""
    return token_hex(16)


def current() -> str | None:
    """The id of the request that is being handled; None outside one."""
    request_id: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return request_id


def _given(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == HEADER:
            return value.decode() if VALID.fullmatch(value) else None
    return None
