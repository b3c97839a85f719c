"""The answers to requests whose caller is unknown, or may not do what they ask for (RFC 6750, section 3.1)."""

from __future__ import annotations

from typing import Final

from longrun_api.problems import HttpError

REALM: Final = 'Bearer realm="longrun"'
SEND: Final = "send a key or token in the header Authorization: Bearer <…>"


class Unauthenticated(HttpError):
    """The request has no credentials, or none that are valid.

    The answer does not say which: whoever guesses learns nothing from it.
    """

    status = 401
    slug = "unauthenticated"
    title = "The request has no valid credentials"


class MalformedAuthorization(HttpError):
    """The header Authorization cannot be read."""

    status = 400
    slug = "malformed-authorization"
    title = "The Authorization header is malformed"
    headers = {"WWW-Authenticate": f'{REALM}, error="invalid_request"'}  # noqa: RUF012


class InsufficientScope(HttpError):
    """The caller is known, but may not do this."""

    status = 403
    slug = "insufficient-scope"
    title = "The credentials do not allow this"

    def __init__(self, detail: str, scope: str) -> None:
        super().__init__(detail)
        self.headers = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{scope}"'}


def missing() -> Unauthenticated:
    """The refusal of a request without credentials: the challenge names no error, as RFC 6750 asks."""
    error = Unauthenticated(SEND)
    error.headers = {"WWW-Authenticate": REALM}
    return error


def invalid(
    reason: str = "the credentials are unknown, expired or revoked",
) -> Unauthenticated:
    """The refusal of credentials that are not valid."""
    error = Unauthenticated(f"{reason}: {SEND} that is valid")
    error.headers = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
    return error
