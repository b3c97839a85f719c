"""Errors of a connection, for requests that never reach the application, and their bytes on the wire."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPMethod, HTTPStatus
from typing import Final

from longrun_api.problems import HttpError, problem
from longrun_api.security_headers import SECURITY_HEADERS

REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP/1\.[01]\r\n")
METHODS: Final = frozenset(HTTPMethod)
"""The methods of RFC 9110 and RFC 5789. The parser knows them all."""


class MalformedRequest(HttpError):
    """The client sent something that is not HTTP."""

    status = 400
    slug = "malformed-request"
    title = "The request is not HTTP/1.1"


class MethodNotImplemented(HttpError):
    """The server knows no such method (RFC 9110, section 9.1)."""

    status = 501
    slug = "method-not-implemented"
    title = "The server does not know this method"


class HeadTooLarge(HttpError):
    """The request line and the headers have too many bytes, or there are too many headers."""

    status = 431
    slug = "head-too-large"
    title = "The request's headers are too large"


class RequestTimeout(HttpError):
    """The request did not arrive in time."""

    status = 408
    slug = "request-timeout"
    title = "The request took too long to arrive"


def malformed(data: bytes) -> HttpError:
    """The error for bytes that the parser refused, which takes a method that it does not know for nonsense."""
    line = REQUEST_LINE.match(data)
    if line and line[1].decode() not in METHODS:
        return MethodNotImplemented("OPTIONS tells the methods of a path")
    return MalformedRequest("it cannot be parsed (RFC 9112)")


def raw_response(error: HttpError, request_id: str) -> bytes:
    """The whole HTTP/1.1 response to an error, which also announces that the connection closes."""
    response = problem(error, request_id=request_id)
    headers = {
        "Date": formatdate(usegmt=True),
        **response.headers,
        **SECURITY_HEADERS,
        "X-Request-Id": request_id,
        "Connection": "close",
    }
    status = f"HTTP/1.1 {error.status:d} {HTTPStatus(error.status).phrase}"
    lines = [status, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + bytes(response.body)
