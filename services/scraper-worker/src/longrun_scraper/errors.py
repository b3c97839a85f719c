"""Errors of a fetch, permanent or retryable.

A permanent error would occur again. A retryable one may not, and carries the server's Retry-After. The details of an
error become fields of the task's `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobcore import PermanentError, RetryableError
from jobcore.outbound.errors import ConnectionFailed


class HttpStatusError(PermanentError):
    """The server answered with a 4xx status; `details` has the status, the headers and the start of the body."""

    def __init__(self, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class TooManyRedirects(PermanentError):
    """There are too many redirects."""


class PageTooLarge(PermanentError):
    """The page is larger than LONGRUN_FETCH_MAX_BYTES."""


class UnknownEncoding(PermanentError):
    """The page has a content coding that Accept-Encoding does not list."""


class UnreadableBody(PermanentError):
    """The page is not compressed as its Content-Encoding says."""


class InvalidResponse(PermanentError):
    """The response is not valid HTTP or contradicts itself."""


class CertificateRefused(PermanentError):
    """The certificate of the server is not valid for the host."""


class ServerUnavailable(RetryableError):
    """The server answered 5xx, 408, 425 or 429; `details` has the status, the headers and the start of the body."""

    def __init__(self, message: str, details: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s)
        self.details = details


class IncompleteRead(ConnectionFailed):
    """The connection ended before the page was complete."""
