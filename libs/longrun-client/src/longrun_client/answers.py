"""Turn the outcome of an HTTP exchange into a value, an error, or a delay before the call is sent again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx2
from pydantic import ValidationError

from longrun_client.calls import Call
from longrun_client.errors import (
    FieldError,
    LongrunError,
    LongrunUnavailable,
    MaybeAccepted,
    ProblemError,
    UnexpectedAnswer,
)

T = TypeVar("T")

TRIES: Final = 4
FIRST_DELAY_S: Final = 0.2
LONGEST_RETRY_AFTER_S: Final = 10.0
BUSY: Final = frozenset({502, 503, 504})
IN_PROGRESS: Final = (b"urn:longrun:problem:idempotency-key-in-use", b"urn:longrun:problem:dedupe-key-in-use")
# The request was never sent, so it cannot have had an effect.
NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with the names that httpx2.Response has, to make which takes longer than to receive it."""

    status_code: int
    reason_phrase: str
    url: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status_code < 300

    @property
    def is_redirect(self) -> bool:
        """Whether the status is 3xx."""
        return 300 <= self.status_code < 400

    def json(self) -> Any:
        """The value of the body; raises ValueError if it is not JSON."""
        return json.loads(self.content)


Response = Answer | httpx2.Response
Outcome = Response | httpx2.TransportError


def retry_delay_s(outcome: Outcome, attempt: int, jitter: Callable[[], float] = random.random) -> float | None:
    """Seconds to wait before sending a call again after its try number `attempt`; None: do not send it again.

    It is sent again without an answer, or if the server, or a proxy before it, was busy. Every call may be.
    """
    if attempt >= TRIES or not _is_unanswered(outcome):
        return None
    backoff = FIRST_DELAY_S * 2.0 ** (attempt - 1) * (1 + jitter())
    asked = None if isinstance(outcome, httpx2.TransportError) else retry_after_s(outcome)
    return backoff if asked is None else max(backoff, min(asked, LONGEST_RETRY_AFTER_S))


def _is_unanswered(outcome: Outcome) -> bool:
    if isinstance(outcome, httpx2.TransportError):
        return True
    return outcome.status_code in BUSY or (outcome.status_code == httpx2.codes.CONFLICT and _is_in_progress(outcome))


def _is_in_progress(response: Response) -> bool:
    """Whether another request with a key of this one, such as an earlier try of it, is not answered yet."""
    return any(problem in response.content for problem in IN_PROGRESS)


def retry_after_s(response: Response) -> float | None:
    """The seconds of a Retry-After header (RFC 9110, section 10.2.3); None if there is none or if it is a date."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def value_of(call: Call[T], outcome: Outcome, base_url: str) -> T:
    """The value of the response; raises ProblemError, LongrunUnavailable or UnexpectedAnswer."""
    if isinstance(outcome, httpx2.TransportError):
        raise unreachable(outcome, base_url, call.key)
    if not outcome.is_success:
        raise refusal(outcome, base_url)
    try:
        return call.read(outcome.json() if outcome.content else None)
    except (ValidationError, ValueError, TypeError, KeyError) as error:
        raise UnexpectedAnswer(
            f"the response of {outcome.url} is not from Longrun ({_first_line(error)}): "
            f"is {base_url} the address of a Longrun server?"
        ) from error


def refusal(response: Response, base_url: str) -> LongrunError:
    """The error for a response with a status other than 2xx, whose body has been read."""
    if response.is_redirect:
        target = response.headers.get("Location", "elsewhere")
        return UnexpectedAnswer(f"{base_url} redirects to {target}: use that address instead")
    try:
        body = response.json()
        errors = [FieldError.model_validate(error) for error in body.get("errors") or ()]
        return ProblemError(
            response.status_code,
            str(body["title"]),
            body.get("detail"),
            type=body.get("type", "about:blank"),
            errors=errors,
            retry_after_s=retry_after_s(response),
        )
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        title = f"{response.url} answered {response.status_code} {response.reason_phrase}".strip()
        return ProblemError(response.status_code, title, retry_after_s=retry_after_s(response))


def unreachable(error: httpx2.TransportError, base_url: str, key: str | None = None) -> LongrunUnavailable:
    """The error for a connection that could not be made or that broke; `key` is the idempotency key of the call."""
    if key is None or isinstance(error, NOT_SENT):
        return LongrunUnavailable(
            f"cannot reach Longrun at {base_url} ({reason(error)}): is it running, "
            "and is LONGRUN_URL (or --server) its address?"
        )
    return MaybeAccepted(
        f"the connection to {base_url} broke before the response arrived ({reason(error)}), so the request may have "
        f"been accepted: repeat it with the idempotency key {key} to find out; it is not accepted twice",
        key,
    )


def reason(error: Exception) -> str:
    """An error in a few words, or its type if it has no message (as some of httpx2)."""
    return _first_line(error) or type(error).__name__


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
