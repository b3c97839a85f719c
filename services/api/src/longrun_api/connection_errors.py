"""Errors of a connection, for requests that never reach the application, and their bytes on the wire."""

from __future__ import annotations

from http import HTTPStatus

from longrun_api.problems import HttpError, problem


class MalformedRequest(HttpError):
    """The client sent something that is not HTTP."""

    status = 400
    slug = "malformed-request"
    title = "The request is not HTTP/1.1"


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


def raw_response(error: HttpError) -> bytes:
    """The whole HTTP/1.1 response to an error, which also announces that the connection closes."""
    response = problem(error)
    headers = [*response.raw_headers, (b"connection", b"close")]
    status = b"HTTP/1.1 %d %s" % (error.status, HTTPStatus(error.status).phrase.encode())
    lines = [status, *(b"%s: %s" % header for header in headers), b""]
    return b"\r\n".join([*lines, bytes(response.body)])
