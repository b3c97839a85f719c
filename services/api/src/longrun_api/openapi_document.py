"""`GET /openapi.json`. The document is built for the first who asks: most processes are never asked."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class OpenApiDocument:
    """Builds the document at most once, by the function that it is given."""

    def __init__(self, build: Callable[[], dict[str, Any]]) -> None:
        self._build = build
        self._building = Lock()
        self._document: dict[str, Any] | None = None

    def built(self) -> dict[str, Any]:
        """The document, after some tenths of a second if nobody has asked before."""
        with self._building:
            if self._document is None:
                self._document = self._build()
            return self._document

    async def respond(self, _request: Request) -> Response:
        """Answer with the document; other requests are answered while a thread builds it."""
        return JSONResponse(await run_sync(self.built))
