"""CORS: pages of the origins in `LONGRUN_ALLOWED_ORIGINS` may send any request and read its response (WHATWG Fetch)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from longrun_api.methods import ROUTED

EXPOSED: Final = (
    *("Allow", "Content-Disposition", "Content-Range", "Deprecation", "ETag", "Idempotency-Replayed", "Link"),
    *("Location", "Preference-Applied", "Retry-After", "Sunset", "X-Request-Id"),
)
"""Response headers that a script may read, besides those that it always may."""
PREFLIGHT_S: Final = 600
"""Seconds for which a browser may keep the answer to a preflight."""


class Cors(CORSMiddleware):
    """Starlette's middleware, for the requests of the given origins only: it would refuse others in plain text.

    A page of another origin gets a response without CORS headers, which its browser does not show it.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        super().__init__(
            app,
            allow_origins=tuple(origins),
            allow_methods=ROUTED,
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers if the request comes from one of the origins."""
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is not None and self.is_allowed_origin(origin):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)
