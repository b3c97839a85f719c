"""Reading a JSON request body within bounds, and parsing it where it holds nobody up.

A small body is parsed at once. A large one, or one of many elements, is parsed by the one thread there is for such
bodies, after those that came before: the event loop goes on with other requests meanwhile, and what is built of one
body is in memory at a time. A body that would build too much is refused by a count, while it comes in.
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
"""A body may have as many elements as fit into the largest body at so many bytes each; the measured cost of one is
about 2 µs and 300 bytes."""
TINY_BYTES: Final = 2 * 1024
QUICK_BYTES: Final = 64 * 1024
QUICK_ELEMENTS: Final = 1_000
"""What is parsed within about 2 ms may be parsed at once."""
TURN_S: Final = 5.0
"""Seconds that a large body waits for its turn."""
SWITCH_S: Final = 0.0005

_large_bodies = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-bodies")


async def read_as(request: Request, parse: Callable[[bytes], T]) -> T:
    """What `parse` makes of the JSON body; ServerBusy if it is large and its turn does not come."""
    coming = await _receive(request, runtime_of(request).settings.max_body_bytes)
    body = coming.whole()
    if len(body) <= TINY_BYTES or (len(body) <= QUICK_BYTES and coming.most_elements <= QUICK_ELEMENTS):
        return parse(body)
    work = partial(_parse_large, body, parse)
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(_large_bodies, work), TURN_S)
    except TimeoutError:
        raise ServerBusy(f"{TURN_S:g} s were not enough for the large request bodies before this one") from None


def json_body(model: type[ModelT]) -> Callable[[Request], Awaitable[ModelT]]:
    """A dependency that gives the body as this model."""

    async def read(request: Request) -> ModelT:
        return await read_as(request, partial(parse_as, model))

    return read


class Coming:
    """A JSON body as it comes in, counted piece by piece.

    What has too many elements is known soon, and is not kept: the rest of it is only read, so that the client, which
    may not look for an answer before it has sent all, gets one.
    """

    def __init__(self, max_bytes: int) -> None:
        self.most_elements = 0
        """How many elements there are at most: what is in strings counts too."""
        self._max_bytes = self._left = max_bytes
        self._max_elements = self._count_at = max_bytes // BYTES_PER_ELEMENT
        self._has_too_many = False
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Take the next piece; BodyTooLarge if the body is too long with it."""
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._max_bytes)
        if self._has_too_many:
            return
        self._pieces.append(piece)
        self.most_elements += _most_elements(piece)
        if self.most_elements > self._count_at:
            self._count_at = 2 * self.most_elements  # so that what is counted anew is no more than the body twice
            self._count()

    def whole(self) -> bytes:
        """The body, without a byte order mark; BodyTooLarge if it has too many elements."""
        if self.most_elements > self._max_elements and not self._has_too_many:
            self._count()
        if self._has_too_many:
            raise BodyTooLarge(
                f"at most {self._max_elements:,} elements (commas and opening brackets) are taken: put large data "
                "elsewhere and send its URL, or send it as one string"
            )
        body = b"".join(self._pieces)
        if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise MalformedJson("UTF-16 at line 1 column 1: send JSON in UTF-8 (RFC 8259, section 8.1)")
        return body.removeprefix(codecs.BOM_UTF8)  # which a parser may ignore (the same section)

    def _count(self) -> None:
        bare = json_text.STRING.sub(b"", b"".join(self._pieces))
        if _most_elements(bare) > self._max_elements:
            self._has_too_many = True
            self._pieces.clear()


async def _receive(request: Request, max_bytes: int) -> Coming:
    """The body; UnsupportedMediaType unless it is declared as JSON in UTF-8, as it is; BodyTooLarge past `max_bytes`.

    A declared length is refused before a byte is read; chunked bodies are counted as they come.
    """
    _check_type(request)
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    coming = Coming(max_bytes)
    async for piece in request.stream():
        coming.add(piece)
    return coming


def _parse_large(body: bytes, parse: Callable[[bytes], T]) -> T:
    with _yielding():
        return parse(body)


@contextmanager
def _yielding() -> Iterator[None]:
    """Let the event loop have the interpreter soon while this thread works.

    Threads change places every 5 ms by default, and a request changes many times. And a garbage collection, which stops
    all threads, comes again and again while very many objects are made, none of which is garbage.
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
    """How many values are in this JSON text, give or take the empty containers, with what looks like one in strings."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_type(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    if content_type != "application/json":
        message = Message()
        message["content-type"] = content_type
        subtype = message.get_content_subtype()
        if message.get_content_maintype() != "application" or not (subtype == "json" or subtype.endswith("+json")):
            raise UnsupportedMediaType(f"send the header Content-Type: application/json, not {content_type[:100]!r}")
        charset = message.get_content_charset("utf-8")
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"send JSON in UTF-8, not in {charset[:100]!r} (RFC 8259, section 8.1)")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        raise UnsupportedMediaType(f"send the body as it is, without Content-Encoding: {coding[:100]}")


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"at most {max_bytes:,} bytes are taken: put large data elsewhere and send its URL")
