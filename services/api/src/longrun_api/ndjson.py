"""Newline-delimited JSON: a response of any length that costs the memory of one page, at the pace of its reader.

The next page is read when the reader has taken the last one, so nothing waits in this process, and no statement or
transaction stays open. If the stream cannot be completed, its connection is reset: a reader must never take a part for
the whole.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread
from fastapi import Request, Response
from starlette.types import Receive, Send

from jobcore.errors import LongrunError
from jobcore.telemetry import logs
from longrun_api.compression import INLINE_BYTES, LEVEL, accepts_gzip
from longrun_api.event_stream import EventStream, abort
from longrun_api.problems import ShuttingDown
from longrun_api.runtime import Runtime, runtime_of

MEDIA_TYPE: Final = "application/x-ndjson"
RESPONSE: Final[dict[str, Any]] = {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
GZIP_WINDOW: Final = 31
"""`wbits` of zlib for the gzip format (RFC 1952)."""

log = logs.get(__name__)


class NdjsonStream(EventStream):
    """A response of pages, each some lines of JSON."""

    media_type = MEDIA_TYPE

    def ping(self) -> None:
        """Nothing is written between pages."""

    async def _send_all(self, receive: Receive, send: Send, everything: anyio.CancelScope) -> None:
        try:
            await super()._send_all(receive, send, everything)
        except LongrunError as error:
            log.warning("an export was cut", error=str(error))
            abort(receive)
            everything.cancel()


async def response(request: Request, pages: AsyncGenerator[bytes]) -> Response:
    """The response with these pages. The first one is read before, so that an error has its own status."""
    runtime = runtime_of(request)
    first = await anext(pages, b"")
    pages = _whole(runtime, first, pages)
    headers = {"Vary": "Accept-Encoding"}
    if accepts_gzip(value for name, value in request.scope["headers"] if name == b"accept-encoding"):
        headers["Content-Encoding"] = "gzip"
        pages = _compressed(pages)
    stream = NdjsonStream(pages, runtime.stream_backlog, runtime.keepalive, runtime.settings.stream_stall_s)
    stream.headers.update(headers)
    return stream


async def _whole(runtime: Runtime, first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield first
        async for page in rest:
            yield page
            if runtime.shutdown.begun:
                raise ShuttingDown("the server is stopping")


async def _compressed(pages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The pages as one gzip stream; each can be read as soon as it arrives."""
    gzip = zlib.compressobj(LEVEL, wbits=GZIP_WINDOW)
    async with aclosing(pages):
        async for page in pages:
            compress = partial(_compress, gzip, page)
            yield compress() if len(page) <= INLINE_BYTES else await anyio.to_thread.run_sync(compress)
    yield gzip.flush()


def _compress(gzip: Any, page: bytes) -> bytes:
    data: bytes = gzip.compress(page) + gzip.flush(zlib.Z_SYNC_FLUSH)
    return data
