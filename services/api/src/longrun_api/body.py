"""Reading a JSON request body within bounds, and parsing it where it holds nobody up.

A small body is parsed at once. A large one, or one of many elements, is parsed by the one thread there is for such
bodies, after those that came before: the event loop goes on with other requests meanwhile, and what is built of one
body is in memory at a time. A body that would build too much is refused by a count, before anything is built.
"""

from __future__ import annotations

import asyncio
import codecs
import gc
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import Message
from functools import partial
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel

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
STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

_large_bodies = ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-bodies")


async def read_as(request: Request, parse: Callable[[bytes], T]) -> T:
    """What `parse` makes of the JSON body; ServerBusy if it is large and its turn does not come."""
    max_bytes = runtime_of(request).settings.max_body_bytes
    body = await read_json(request, max_bytes)
    if len(body) <= TINY_BYTES or (len(body) <= QUICK_BYTES and _most_elements(body) <= QUICK_ELEMENTS):
        return parse(body)
    work = partial(_parse_large, body, parse, max_bytes // BYTES_PER_ELEMENT)
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(_large_bodies, work), TURN_S)
    except TimeoutError:
        raise ServerBusy(f"{TURN_S:g} s were not enough for the large request bodies before this one") from None


def json_body(model: type[ModelT]) -> Callable[[Request], Awaitable[ModelT]]:
    """A dependency that gives the body as this model."""

    async def read(request: Request) -> ModelT:
        return await read_as(request, partial(parse_as, model))

    return read


async def read_json(request: Request, max_bytes: int) -> bytes:
    """The body, without a byte order mark; UnsupportedMediaType unless it is declared as JSON in UTF-8, as it is;
    BodyTooLarge past `max_bytes`.

    A declared length is refused before a byte is read; chunked bodies are counted as they come.
    """
    _check_type(request)
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    chunks = []
    left = max_bytes
    async for chunk in request.stream():
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise _too_large(max_bytes)
    body = b"".join(chunks)
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise MalformedJson("UTF-16 at line 1 column 1: send JSON in UTF-8 (RFC 8259, section 8.1)")
    return body.removeprefix(codecs.BOM_UTF8)  # which a parser may ignore (the same section)


def elements(body: bytes) -> int:
    """How many values, give or take the empty containers, are in this JSON text: commas and opening brackets."""
    bare = STRING.sub(b"", body)
    return bare.count(b",") + bare.count(b"[") + bare.count(b"{")


def _parse_large(body: bytes, parse: Callable[[bytes], T], max_elements: int) -> T:
    if _most_elements(body) > max_elements and elements(body) > max_elements:
        raise BodyTooLarge(
            f"at most {max_elements:,} elements (commas and opening brackets) are taken: put large data elsewhere and "
            "send its URL, or send it as one string"
        )
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
    """`elements`, and what only looks like them inside strings."""
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
