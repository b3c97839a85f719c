"""A response that sends frames until there are no more, its reader disconnects, or its reader stalls.

For a stalled reader, the process buffers at most a page of events, the frame that is being sent and the socket's
buffer. Its connection is reset if it reads nothing for `stall_s` seconds, or earlier if the buffers of all stalled
readers exceed `Backlog.limit`. The client can reconnect and resume after the last event that it received.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
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
"""Bytes that are passed to uvicorn at once; it buffers as many again."""
OTHER_BUFFERS: Final = 4 * PIECE
"""Approximate bytes that a stalled reader costs besides its frame: a page of events, live events, uvicorn's buffer."""
HEADERS: Final = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""Make proxies pass each event on at once and unchanged."""

log = logs.get(__name__)


@dataclass(slots=True)
class Backlog:
    """Bytes that the process buffers for stalled readers."""

    limit: int
    """In bytes; above it, the reader that has been stalled for the longest time is cut."""
    _buffered: dict[anyio.CancelScope, int] = field(default_factory=dict)
    _total: int = 0

    def add(self, scope: anyio.CancelScope, size: int) -> None:
        """Add the bytes that the reader of this scope has not read yet."""
        self._buffered[scope] = size
        self._total += size
        if self._total > self.limit:
            next(iter(self._buffered)).cancel()

    def remove(self, scope: anyio.CancelScope) -> None:
        """Remove them: the reader has read them or is gone."""
        self._total -= self._buffered.pop(scope)


class EventStream(Response):
    """A response of type `text/event-stream` (WHATWG HTML, section 9.2)."""

    media_type = "text/event-stream"

    def __init__(
        self,
        frames: AsyncGenerator[bytes],
        backlog: Backlog,
        keepalive: Keepalive,
        stall_s: float,
        comment: Callable[[], bytes] = lambda: KEEPALIVE_COMMENT,
        place: AbstractAsyncContextManager[None] | None = None,
    ) -> None:
        """`place` is held while the stream is open; what it raises before is the answer instead."""
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._frames = frames
        self._backlog = backlog
        self._keepalive = keepalive
        self._stall_s = stall_s
        self._comment = comment
        self._place = place or nullcontext()
        self._request: Any = None
        self._is_sending = False
        self.sent_at = inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames until the end, or until the reader is gone."""
        self._request = getattr(receive, "__self__", None)
        async with self._place:
            with self._keepalive.pinged(self):
                await self._send_until_gone(receive, send)

    def ping(self) -> None:
        """Write a comment, or what stands for one, as a chunk (RFC 9112, section 7.1) directly to the connection.

        Nothing is written while a frame is being sent, or if the reader is stalled: the connection resets that one.
        """
        request = self._request
        if self._is_sending or request is None or request.flow.write_paused or request.chunked_encoding is None:
            return
        if request.disconnected or request.response_complete:
            return
        self.sent_at = asyncio.get_running_loop().time()
        comment = self._comment()
        request.transport.write(b"%x\r\n%b\r\n" % (len(comment), comment) if request.chunked_encoding else comment)

    async def _send_until_gone(self, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send_all, receive, send, tasks.cancel_scope)
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

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
        """Send a frame; False if the reader stalled."""
        self._is_sending = True
        for start in range(0, len(frame), PIECE):
            with anyio.move_on_after(self._stall_s) as stalled:
                self._backlog.add(stalled, len(frame) + OTHER_BUFFERS)
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
    """Reset the connection now; an ordinary close would wait until the reader has read everything.

    ASGI cannot express this, so the transport is taken from uvicorn's request, of which `receive` is a method.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        reset(transport)
