"""Why a page could not be fetched: for good, or only now.

A permanent error would come again; a retryable one may pass, and carries the server's Retry-After if it sent one. The
details of an error become fields of the job's `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobcore import PermanentError, RetryableError


class RefusedAddress(PermanentError):
    """The host is not on the public internet, and the operator did not allow it."""


class HttpStatusError(PermanentError):
    """The server says that there is no such page for us (a 4xx status); `details` are its status and headers."""

    def __init__(self, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.details = details


class TooManyRedirects(PermanentError):
    """The page redirects in a circle, or further than allowed."""


class PageTooLarge(PermanentError):
    """The page is larger than allowed."""


class UnknownEncoding(PermanentError):
    """The page is compressed in a way that we did not say we understand."""


class UnreadableBody(PermanentError):
    """The page is not compressed in the way that it says."""


class InvalidResponse(PermanentError):
    """What the server sent is not HTTP, or contradicts itself."""


class CertificateRefused(PermanentError):
    """The server does not prove that it is who the URL names."""


class ServerUnavailable(RetryableError):
    """The server cannot answer now (a 5xx status, 408, 425 or 429); `details` are its status and headers."""

    def __init__(self, message: str, details: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s)
        self.details = details


class FetchTimeout(RetryableError):
    """The page did not arrive within the time that a fetch may take."""


class ConnectionFailed(RetryableError):
    """The host could not be found or reached, or broke the connection off."""


class IncompleteRead(ConnectionFailed):
    """The connection ended before the page did."""
