"""Read a JSON request body within bounds, and parse it without blocking other requests.

Small bodies are parsed at once. One thread parses all large bodies and bodies with many elements, one after the other:
meanwhile the event loop serves other requests, and the objects of only one such body are in memory. The elements of a
body are counted while it arrives, so that a body with too many is refused without being parsed.
"""

from __future__ import annotations

import asyncio
import codecs
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import Message
from functools import partial
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel

from jobcore.store import json_text
from longrun_api.problems import BodyTooLarge, MalformedJson, ServerBusy, UnsupportedMediaType
from longrun_api.runtime import runtime_of
from longrun_api.submission import parse_as

T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=BaseModel)

BYTES_PER_ELEMENT: Final = 20
"""The maximum number of elements is the maximum body size divided by this. An element costs about 2 µs and 300 bytes
(measured)."""
TINY_BYTES: Final = 2 * 1024
QUICK_BYTES: Final = 64 * 1024
QUICK_ELEMENTS: Final = 1_000
"""A body within these bounds is parsed in about 2 ms."""
TURN_S: Final = 5.0
"""Seconds that a large body may wait for the thread and be parsed."""
SWITCH_S: Final = 0.0005
"""Switch interval of the interpreter's threads while a large body is parsed, in seconds."""

_large_bodies = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-bodies")


async def read_as(request: Request, parse: Callable[[bytes], T], *, quick_bytes: int = QUICK_BYTES) -> T:
    """The JSON body, parsed by `parse`; raises ServerBusy if a large body has to wait too long.

    Bodies of more than `quick_bytes` are large.
    """
    incoming = await _receive(request, runtime_of(request).settings.max_body_bytes)
    return await parsed(incoming, parse, quick_bytes=quick_bytes)


async def parsed(incoming: IncomingBody, parse: Callable[[bytes], T], *, quick_bytes: int = QUICK_BYTES) -> T:
    """The body that has arrived, parsed by `parse`; see `read_as`."""
    body = incoming.whole()
    if len(body) <= TINY_BYTES or (len(body) <= quick_bytes and incoming.most_elements <= QUICK_ELEMENTS):
        return parse(body)
    work = partial(_parse_large, body, parse)
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(_large_bodies, work), TURN_S)
    except TimeoutError:
        raise ServerBusy(f"other large request bodies kept this one waiting for more than {TURN_S:g} s") from None


def json_body(model: type[ModelT]) -> Callable[[Request], Awaitable[ModelT]]:
    """A dependency that parses the body as this model."""

    async def read(request: Request) -> ModelT:
        return await read_as(request, partial(parse_as, model))

    return read


class IncomingBody:
    """A JSON body that is counted while it arrives.

    A body with too many elements is discarded as soon as this is known. The rest of it is still read, because a client
    may not read the response before it has sent everything.
    """

    def __init__(self, max_bytes: int) -> None:
        self.most_elements = 0
        """Upper bound of the number of elements: commas and brackets within strings count too."""
        self._max_bytes = self._left = max_bytes
        self._max_elements = self._count_at = max_bytes // BYTES_PER_ELEMENT
        self._has_too_many = False
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Add the next piece; raises BodyTooLarge."""
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._max_bytes)
        if self._has_too_many:
            return
        self._pieces.append(piece)
        self.most_elements += _most_elements(piece)
        if self.most_elements > self._count_at:
            self._count_at = (
                2 * self.most_elements
            )  # doubled, so that recounting costs no more than two passes over the body
            self._count()

    def whole(self) -> bytes:
        """The complete body without a byte order mark; raises BodyTooLarge if it has too many elements."""
        if self.most_elements > self._max_elements and not self._has_too_many:
            self._count()
        if self._has_too_many:
            raise BodyTooLarge(
                f"at most {self._max_elements:,} elements (commas and opening brackets) are accepted: store large data "
                "elsewhere and send its URL, or send it as one string"
            )
        body = b"".join(self._pieces)
        if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise MalformedJson("UTF-16 at line 1 column 1: send JSON in UTF-8 (RFC 8259, section 8.1)")
        return body.removeprefix(codecs.BOM_UTF8)  # parsers may ignore it (RFC 8259, section 8.1)

    def _count(self) -> None:
        bare = json_text.STRING.sub(b"", b"".join(self._pieces))
        if _most_elements(bare) > self._max_elements:
            self._has_too_many = True
            self._pieces.clear()


async def _receive(request: Request, max_bytes: int) -> IncomingBody:
    """Read the body. Raises UnsupportedMediaType unless it is declared as plain JSON in UTF-8, and BodyTooLarge.

    A Content-Length that is too large is refused before the body is read; chunked bodies are counted as they arrive.
    """
    declared = {
        name: value.decode("latin-1") for name, value in request.scope["headers"] if name.startswith(b"content-")
    }
    _check_type(declared.get(b"content-type", ""), declared.get(b"content-encoding", ""))
    if int(declared.get(b"content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    incoming = IncomingBody(max_bytes)
    async for piece in request.stream():
        incoming.add(piece)
    return incoming


def _parse_large(body: bytes, parse: Callable[[bytes], T]) -> T:
    with _yielding():
        return parse(body)


@contextmanager
def _yielding() -> Iterator[None]:
    """Let the event loop run often while this thread works.

    By default, the interpreter switches threads every 5 ms, and a request needs many switches. Garbage collection is
    off meanwhile: it stops all threads, runs often while many objects are created, and would find no garbage.
    """
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        sys.setswitchinterval(interval_s)


def _most_elements(body: bytes) -> int:
    """Upper bound of the number of values in this JSON text, but for empty containers: strings are counted too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_type(content_type: str, content_coding: str) -> None:
    if content_type != "application/json":
        message = Message()
        message["content-type"] = content_type
        subtype = message.get_content_subtype()
        if message.get_content_maintype() != "application" or not (subtype == "json" or subtype.endswith("+json")):
            raise UnsupportedMediaType(f"send the header Content-Type: application/json, not {content_type[:100]!r}")
        charset = message.get_content_charset("utf-8")
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"send JSON in UTF-8, not in {charset[:100]!r} (RFC 8259, section 8.1)")
    coding = content_coding.strip().lower()
    if coding not in ("identity", ""):
        raise UnsupportedMediaType(f"send the body uncompressed, without Content-Encoding: {coding[:100]}")


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"at most {max_bytes:,} bytes are accepted: store large data elsewhere and send its URL")
