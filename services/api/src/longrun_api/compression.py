"""gzip for large JSON responses to GET, if the client accepts it (RFC 9110, sections 8.4.1.3 and 12.5.3).

Left as they are:

- streams, whose events must not wait in a compressor, and files;
- responses with an `ETag`: a strong one names these bytes, and not their compressed form (RFC 9110, section 8.8.3.3);
- problem documents: they repeat what the request said, which compression must not mix with secrets (BREACH).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_BYTES: Final = 1024
"""Below this, compression costs more than it saves."""
INLINE_BYTES: Final = 16 * 1024
"""Larger bodies are compressed in a thread; this many bytes take about 0.2 ms."""
LEVEL: Final = 4
COMPRESSED: Final = frozenset({b"application/json"})
VARY: Final = (b"vary", b"Accept-Encoding")


class Compression:
    """ASGI middleware that compresses responses to GET."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and compress its response if that helps and is allowed."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        is_accepted = accepts_gzip(value for name, value in scope["headers"] if name == b"accept-encoding")
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_compressible(message):
                message["headers"] = [*message["headers"], VARY]
                if is_accepted:
                    start = message
                    return
            elif start is not None:
                first, start = start, None
                body = await _compressed(message["body"])
                await send({**first, "headers": _headers(first, len(body))})
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, send_compressed)


def accepts_gzip(values: Iterable[bytes]) -> bool:
    """Whether these values of Accept-Encoding allow gzip: by its name, or else by `*`, with a weight above 0."""
    weights: dict[str, float] = {}
    for item in b",".join(values).decode("latin-1").lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _is_compressible(start: Mapping[str, Any]) -> bool:
    """Whether this is a complete JSON response of one piece, of at least MIN_BYTES."""
    headers = dict(start["headers"])
    return (
        start["status"] == 200
        and headers.get(b"content-type") in COMPRESSED
        and int(headers.get(b"content-length", 0)) >= MIN_BYTES
        and not headers.keys() & {b"etag", b"content-encoding"}
    )


async def _compressed(body: bytes) -> bytes:
    compress = partial(gzip.compress, body, LEVEL, mtime=0)
    return compress() if len(body) <= INLINE_BYTES else await anyio.to_thread.run_sync(compress)


def _headers(start: Mapping[str, Any], size: int) -> list[tuple[bytes, bytes]]:
    others = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    return [*others, (b"content-length", b"%d" % size), (b"content-encoding", b"gzip")]
