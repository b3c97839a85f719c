"""One base for every error that Longrun raises on purpose; a business error carries its HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar


class LongrunError(Exception):
    """Something went wrong in a way we know.

    `status` is the HTTP status it answers with, `slug` the last part of its RFC 9457 problem type,
    `title` the sentence that stays the same for every occurrence; `str(error)` is this occurrence. `details` of an
    error that a task raises become further fields of the job's `error`: JSON values, of a few kilobytes.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"
    retry_after_s: int | None = None
    details: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field at fault: a JSON path such as `input.url`, and what to do about it."""

    field: str
    message: str


class InvalidInput(LongrunError):
    """The request cannot be accepted as it is; `errors` name each field at fault."""

    status = 422
    slug = "invalid-input"
    title = "The request is not valid"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class UnknownTaskType(InvalidInput):
    """No task of that name is registered."""

    slug = "unknown-task-type"
    title = "There is no such task type"


class JobNotFound(LongrunError):
    """No job has that id."""

    status = 404
    slug = "job-not-found"
    title = "There is no such job"


class JobAlreadyEnded(LongrunError):
    """The job ended before it could be cancelled."""

    status = 409
    slug = "job-already-ended"
    title = "The job has already ended"


class NotRetryable(LongrunError):
    """The job is in no state from which it can be tried again now."""

    status = 409
    slug = "job-not-retryable"
    title = "The job cannot be retried now"


class ScheduleNotFound(LongrunError):
    """No schedule has that id or name."""

    status = 404
    slug = "schedule-not-found"
    title = "There is no such schedule"


class ScheduleExists(LongrunError):
    """Another schedule has the name."""

    status = 409
    slug = "schedule-exists"
    title = "There is a schedule of that name already"


class ScheduleChanged(LongrunError):
    """Another request changed the schedule at the same time."""

    status = 409
    slug = "schedule-changed"
    title = "The schedule was changed at the same time"


class StoreUnavailable(LongrunError):
    """PostgreSQL cannot be reached or cannot commit now: nothing was accepted, try again.

    Clients are told `detail`. `reason` is for logs alone: it may name hosts, users and databases.
    """

    status = 503
    slug = "store-unavailable"
    title = "The database is not available"
    retry_after_s = 2

    def __init__(self, detail: str, *, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason or detail


class Overloaded(LongrunError):
    """More submissions wait for their commit than this process holds: try again."""

    status = 503
    slug = "overloaded"
    title = "Too many submissions at once"
    retry_after_s = 1


class RetryableError(LongrunError):
    """A task raises it to say "try again later"; `retry_after_s` (seconds) overrides the backoff."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.delay_s = retry_after_s


class PermanentError(LongrunError):
    """A task raises it to say "trying again is of no use": the job fails at once."""


class InvalidStep(PermanentError):
    """`ctx.step` cannot keep its promise: the name is used twice, or the result cannot be stored as JSON."""


class JobCancelled(BaseException):
    """Raised inside a task when its job was cancelled; a BaseException: `except Exception` lets it pass."""
