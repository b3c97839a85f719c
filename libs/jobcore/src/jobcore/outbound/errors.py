"""Errors of a request to a host that a client named."""

from __future__ import annotations

from jobcore.errors import PermanentError, RetryableError


class InvalidUrl(PermanentError):
    """The URL, or one to which it redirects, cannot be asked for."""


class UrlTooLong(InvalidUrl):
    """The normalised URL has more than MAX_URL_LENGTH characters."""


class RefusedAddress(PermanentError):
    """The host is not on the public internet, and the operator has not allowed it."""


class FetchTimeout(RetryableError):
    """The answer did not arrive within the time limit of the request."""


class ConnectionFailed(RetryableError):
    """The host cannot be resolved or reached, or it closed the connection."""
