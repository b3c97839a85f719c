"""What can go wrong between a client and the server; `str(error)` is written for people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class LongrunError(Exception):
    """The base of every error that this client raises on purpose."""


class InvalidAddress(LongrunError, ValueError):
    """The server's address cannot be used."""


class ServerNotInstalled(LongrunError):
    """A command needs packages of the server that are not installed beside the client."""


class LongrunUnavailable(LongrunError):
    """The server could not be reached, or the connection to it broke."""


class MaybeAccepted(LongrunUnavailable):
    """The connection broke after a task was sent: it may have been accepted or not, so it was not sent again."""


class UnexpectedAnswer(LongrunError):
    """What answered does not speak Longrun's protocol."""


class FieldError(BaseModel):
    """A field of the request at fault, such as `input.url`, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    field: str
    message: str


class ProblemError(LongrunError):
    """The server's refusal, an RFC 9457 problem; `errors` name each field at fault.

    `retry_after_s`: seconds after which the server asks to be tried again, None if it does not say.
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
        return f"{self.title}: {self.detail}" if self.detail else self.title
