"""The response with the bytes of a file. A client that does not read holds one piece of it in memory, and is cut."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jobcore.errors import FileStoreUnavailable
from jobcore.telemetry import logs
from longrun_api.event_stream import abort
from longrun_api.file_reads import Pieces
from longrun_api.methods import is_head

log = logs.get(__name__)


class Download(Response):
    """Sends pieces until there are no more or the client is gone; resets the connection if they cannot be read."""

    def __init__(self, pieces: Pieces, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        async with aclosing(self._pieces.rest):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if is_head(scope):
                await send({"type": "http.response.body", "body": b""})
                return
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_all, receive, send, tasks.cancel_scope)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

    async def _send_all(self, receive: Receive, send: Send, everything: anyio.CancelScope) -> None:
        try:
            await send({"type": "http.response.body", "body": self._pieces.first, "more_body": True})
            async for piece in self._pieces.rest:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except FileStoreUnavailable as error:
            log.error("a download was cut: the bytes of the file cannot be read", error=str(error))
            abort(receive)
        everything.cancel()
