"""Errors of the client. `str(error)` is a message for users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

_ADVICE: Final = {
    401: " (in Python: Longrun(api_key=…), or set LONGRUN_API_KEY)",
    403: " (an admin can make a key with the scope: longrun keys create)",
}
"""What to do about an answer, by its status."""


class LongrunError(Exception):
    """Base class of all errors of this client."""


class InvalidAddress(LongrunError, ValueError):
    """The address of the server is malformed."""


class InvalidKey(LongrunError, ValueError):
    """The API key is malformed."""


class ServerNotInstalled(LongrunError):
    """A command needs packages of the server that are not installed."""


class LongrunUnavailable(LongrunError):
    """The server cannot be reached, or the connection broke."""


class MaybeAccepted(LongrunUnavailable):
    """A request was sent several times, and no answer came. It may or may not have been accepted.

    The same request with this `idempotency_key` is answered as the first one was, and accepted once.
    """

    def __init__(self, message: str, idempotency_key: str) -> None:
        self.idempotency_key = idempotency_key
        super().__init__(message)


class UnexpectedAnswer(LongrunError):
    """The response is not from a Longrun server."""


class IncompleteDownload(LongrunError):
    """The bytes of a file did not arrive as the server stored them."""


class FieldError(BaseModel):
    """An invalid field of the request, such as `input.url`, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    field: str
    message: str


class InvalidSubmission(LongrunError, ValueError):
    """A submission in a transaction of the application was refused; `errors` has the invalid field."""

    def __init__(self, *errors: FieldError) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))


class NoTransaction(LongrunError):
    """The session is not in a transaction on which a task could depend."""


class SubmitNotAvailable(LongrunError):
    """The database of the session has no function to submit a task, or its role may not call it."""


class ProblemError(LongrunError):
    """The server refused the request with a problem document (RFC 9457); `errors` lists the invalid fields.

    `retry_after_s`: seconds to wait before the next try, None if the server does not say.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str | None = None,
        *,
        type: str = "about:blank",
        errors: Sequence[FieldError] = (),
        retry_after_s: float | None = None,
    ) -> None:
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        super().__init__(self._text())

    def _text(self) -> str:
        if self.errors:
            return "\n".join([self.title, *(f"  {error.field}: {error.message}" for error in self.errors)])
        said = f"{self.title}: {self.detail}" if self.detail else self.title
        return f"{said}{_ADVICE.get(self.status, '')}"
