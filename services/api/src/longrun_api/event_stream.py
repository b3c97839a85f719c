"""A response that sends frames until there are no more, its reader leaves, or its reader stops reading.

A reader that stops reading would make us hold what it does not take: at most one page of events, the frame that is
being sent and what the socket buffers. It is cut after `stall_s` seconds without taking anything, and earlier if all
such readers together hold more than `Backlog.limit`; it may come back and resume after the last event it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import anyio
from fastapi.sse import KEEPALIVE_COMMENT
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from jobcore.telemetry import logs
from longrun_api.keepalive import Keepalive
from longrun_api.sockets import reset

PIECE: Final = 64 * 1024
"""Bytes that are given to the server at once; it holds as many more that the socket has not taken."""
HELD_BESIDE: Final = 4 * PIECE
"""What a stalled reader makes us hold beside its frame, about: a page of events, live events, the server's buffer."""
COMMENT_CHUNK: Final = b"%x\r\n%b\r\n" % (len(KEEPALIVE_COMMENT), KEEPALIVE_COMMENT)
HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Proxies must pass each event on at once, and as it is."""

log = logs.get(__name__)


@dataclass(slots=True)
class Backlog:
    """What all stalled readers of this process make it hold."""

    limit: int
    """Bytes; beyond them the reader that has been stalled the longest is cut."""
    _held: dict[anyio.CancelScope, int] = field(default_factory=dict)
    _total: int = 0

    def add(self, scope: anyio.CancelScope, size: int) -> None:
        """The reader of this scope has not taken so many bytes yet."""
        self._held[scope] = size
        self._total += size
        if self._total > self.limit:
            next(iter(self._held)).cancel()

    def remove(self, scope: anyio.CancelScope) -> None:
        """The reader has taken them, or is gone."""
        self._total -= self._held.pop(scope)


class EventStream(Response):
    """An event stream (WHATWG HTML, section 9.2) made of whole frames."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes], backlog: Backlog, keepalive: Keepalive, stall_s: float) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._frames = frames
        self._backlog = backlog
        self._keepalive = keepalive
        self._stall_s = stall_s
        self._request: Any = None
        self._is_sending = False
        self.sent_at = inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; the reader is gone when this returns."""
        self._request = getattr(receive, "__self__", None)
        self._keepalive.add(self)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_all, receive, send, tasks.cancel_scope)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._keepalive.remove(self)

    def ping(self) -> None:
        """Write a comment, as a chunk (RFC 9112, section 7.1), to the connection itself, past all that a frame passes.

        Nothing while a frame is being sent, or to a reader that takes nothing: the connection cuts that one.
        """
        request = self._request
        if self._is_sending or request is None or request.flow.write_paused or not request.chunked_encoding:
            return
        if request.disconnected or request.response_complete:
            return
        self.sent_at = asyncio.get_running_loop().time()
        request.transport.write(COMMENT_CHUNK)

    async def _send_all(self, receive: Receive, send: Send, everything: anyio.CancelScope) -> None:
        async with aclosing(self._frames) as frames:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            self.sent_at = asyncio.get_running_loop().time()
            async for frame in frames:
                if not await self._send(send, frame):
                    log.warning("a stream was cut because its reader stopped reading")
                    abort(receive)
                    break
            else:
                await send({"type": "http.response.body", "body": b""})
        everything.cancel()

    async def _send(self, send: Send, frame: bytes) -> bool:
        """Whether the reader took the frame, or may still take it."""
        self._is_sending = True
        for start in range(0, len(frame), PIECE):
            with anyio.move_on_after(self._stall_s) as stalled:
                self._backlog.add(stalled, len(frame) + HELD_BESIDE)
                try:
                    await send({"type": "http.response.body", "body": frame[start : start + PIECE], "more_body": True})
                finally:
                    self._backlog.remove(stalled)
            if stalled.cancelled_caught:
                return False
        self._is_sending = False
        self.sent_at = asyncio.get_running_loop().time()
        return True


def abort(receive: Receive) -> None:
    """Cut the connection now. To close it would wait until the reader has taken what the server holds for it.

    ASGI has no way to say so: the transport is that of uvicorn's request, whose method `receive` is.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        reset(transport)
