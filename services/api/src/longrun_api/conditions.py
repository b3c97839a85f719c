"""Conditional requests, and requests for a range, of what has a strong ETag (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from fastapi import Request, Response
from starlette.datastructures import Headers

from longrun_api.origins import SAFE_METHODS
from longrun_api.problems import HttpError

ENTITY_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE | re.ASCII)
LONGEST: Final = 19
"""Digits of a position; one with more is beyond the end of any file."""


class PreconditionFailed(HttpError):
    """The representation is not the one that If-Match names."""

    status = 412
    slug = "precondition-failed"
    title = "This is not the version that If-Match names"


class RangeNotSatisfiable(HttpError):
    """The range begins after the end."""

    status = 416
    slug = "range-not-satisfiable"
    title = "The range is not part of the file"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size:,} bytes")
        self.headers = MappingProxyType({"Content-Range": f"bytes */{size}"})


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes from `start` to before `end`."""

    start: int
    end: int


def is_current(headers: Headers, etag: str) -> bool:
    """Whether the client has this representation (304). Raises PreconditionFailed if it wants only another one."""
    wanted = strong_tags(headers)
    if "if-match" in headers and "*" not in wanted and etag not in wanted:
        raise PreconditionFailed(f"its ETag is {etag}")
    known = ",".join(headers.getlist("if-none-match"))
    return known.strip() == "*" or etag in ENTITY_TAG.findall(known)


def digest(text: bytes) -> str:
    """A hash of a representation, for a strong entity tag (RFC 9110, section 8.8.1)."""
    return blake2b(text, digest_size=16).hexdigest()


def shown_with(etag: str) -> dict[str, str]:
    """The headers of a representation that clients may keep, and ask for again by its tag."""
    return {"ETag": etag, "Cache-Control": "private, no-cache"}


def document(request: Request, text: bytes, etag: str, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    """The response with this JSON, or 304 to a client that asks for it and has it. Raises PreconditionFailed."""
    shown = {**shown_with(etag), **headers}
    if request.method in SAFE_METHODS and is_current(request.headers, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=shown)
    return Response(text, headers=shown, media_type="application/json")


def part(headers: Mapping[str, str], etag: str, size: int) -> Part | None:
    """The range that the client asks for; None for the whole.

    A request for several ranges gets the whole, as does one with an If-Range that does not match. Raises
    RangeNotSatisfiable.
    """
    asked = RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if not asked or not (asked[1] or asked[2]) or headers.get("if-range", etag).strip() != etag:
        return None
    first, last = asked[1], asked[2]
    if not first:
        length = min(_position(last), size)
        start, end = size - length, size
    else:
        start, end = _position(first), size
        if last and _position(last) < start:
            return None  # not a valid range
        end = min(_position(last) + 1, size) if last else size
    if start >= end:
        raise RangeNotSatisfiable(size)
    return Part(start, end)


def strong_tags(headers: Headers) -> list[str]:
    """The strong entity tags in If-Match, or `["*"]`; only these count there (RFC 9110, section 13.1.1)."""
    tags = ",".join(headers.getlist("if-match"))
    if tags.strip() == "*":
        return ["*"]
    return [match[1] for match in ENTITY_TAG.finditer(tags) if not match[0].startswith("W/")]


def _position(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= LONGEST else 10**LONGEST
