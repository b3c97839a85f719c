"""The errors that Longrun raises: one base class; those that the API answers with carry their HTTP status."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from numbers import Real
from types import MappingProxyType
from typing import Any, ClassVar


class LongrunError(Exception):
    """The base class of Longrun's errors.

    `status` is the HTTP status of the answer, `slug` the last part of its problem type (RFC 9457), `title` the
    sentence that is the same for every occurrence, `str(error)` what happened this time. `details` of an error that a
    task raises become fields of the job's `error`: a mapping of at most 16 KiB as JSON.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong on our side"
    retry_after_s: int | None = None
    details: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: its JSON path, such as `input.url`, and what it must be."""

    field: str
    message: str


class InvalidInput(LongrunError):
    """The request is not valid; `errors` names each invalid field."""

    status = 422
    slug = "invalid-input"
    title = "The request is not valid"

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class UnknownTaskType(InvalidInput):
    """No task type of that name is registered in this process."""

    slug = "unknown-task-type"
    title = "There is no such task type"


class JobNotFound(LongrunError):
    """No job has that id."""

    status = 404
    slug = "task-not-found"
    title = "There is no such task"


class JobAlreadyEnded(LongrunError):
    """The job ended before it could be cancelled."""

    status = 409
    slug = "task-already-ended"
    title = "The task has already ended"


class NotRetryable(LongrunError):
    """The job's status allows no manual retry now."""

    status = 409
    slug = "task-not-retryable"
    title = "The task cannot be retried now"


class DedupeKeyTaken(LongrunError):
    """Another job with the same dedupe key has not ended."""

    status = 409
    slug = "dedupe-key-taken"
    title = "Another task with this dedupe_key is live"


class QuotaExceeded(LongrunError):
    """The owner has used up what it may take; `quota` is the name of what that is.

    `over` is by how many jobs of `owner` the transaction exceeded it, which was not committed.
    """

    status = 429
    slug = "quota-exceeded"
    title = "Request cannot be satisfied as assigned quota has been exceeded"
    retry_after_s: int | None = 1
    quota: ClassVar[str] = "queued"

    def __init__(self, message: str, owner: str | None = None, over: int = 1) -> None:
        super().__init__(message)
        self.owner = owner
        self.over = over


class NamesExceeded(QuotaExceeded):
    """The owner keeps as many schedules and limits as it may. Waiting frees no place."""

    status = 403
    retry_after_s = None
    quota = "names"


class BytesExceeded(QuotaExceeded):
    """The owner has stored as many bytes as it may, so it may add no job and no file."""

    retry_after_s = 60
    quota = "stored_bytes"

    def __init__(self, message: str, owner: str | None = None) -> None:
        super().__init__(message, owner, over=sys.maxsize)


class EventsDeleted(LongrunError):
    """Retention has deleted events after a cursor."""

    status = 410
    slug = "events-deleted"
    title = "Events after the cursor were deleted"


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
    """PostgreSQL cannot be reached or cannot commit now. Nothing was changed; try again later.

    Clients see `detail`. `reason` is for logs only, because it may name hosts, users and databases.
    """

    status = 503
    slug = "store-unavailable"
    title = "The database is not available"
    retry_after_s = 2

    def __init__(self, detail: str, *, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason or detail


class FileNotFound(LongrunError):
    """The job has no file of that name."""

    status = 404
    slug = "file-not-found"
    title = "The task has no such file"


class FileStoreUnavailable(LongrunError):
    """The place for files cannot be used now: it is full, cannot be reached, or is not set."""

    status = 503
    slug = "file-store-unavailable"
    title = "The store of files is not available"


class FileBytesMissing(FileStoreUnavailable):
    """The database has the file, but the place for files that this process uses does not have its bytes."""

    slug = "file-bytes-missing"
    title = "The bytes of the file are not where this server looks for them"


class Overloaded(LongrunError):
    """Too many submissions wait for their commit in this process; try again later."""

    status = 503
    slug = "overloaded"
    title = "Too many submissions at once"
    retry_after_s = 1


class RetryableError(LongrunError):
    """A task raises it to be tried again; `retry_after_s` replaces the backoff.

    `retry_after_s` is a number of seconds, a timedelta, or the text of an HTTP Retry-After header: whole seconds or a
    date (RFC 9110, section 10.2.3). Raises ValueError for anything else.
    """

    def __init__(self, message: str, retry_after_s: float | Decimal | timedelta | str | None = None) -> None:
        super().__init__(message)
        self.delay_s = None if retry_after_s is None else _seconds(retry_after_s)


class PermanentError(LongrunError):
    """A task raises it when another try would fail too: the job fails at once."""


class InvalidValue(PermanentError, ValueError):
    """A method of `ctx` got a value that cannot be stored; the message names the argument."""


class InvalidStep(PermanentError):
    """`ctx.step` got a name that was used before in this run, or a result that cannot be stored as JSON."""


class ProgramFailed(LongrunError):
    """A program that `ctx.run` should run did not start, did not end in time, or ended with an exit code other than 0.

    `exit_code` is None if it has none, and negative if a signal killed it: -9 for SIGKILL. `stderr` is the end of what
    it wrote to standard error.
    """

    def __init__(self, message: str, *, program: str, exit_code: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.program = program
        self.exit_code = exit_code
        self.stderr = stderr
        self.details = {"program": program, "exit_code": exit_code, "stderr": stderr}


class JobCancelled(BaseException):
    """Raised inside a task when its run must stop. It is a BaseException: `except Exception` does not catch it."""


def _seconds(given: object) -> float:
    seconds = math.nan
    if isinstance(given, timedelta):
        seconds = given.total_seconds()
    elif isinstance(given, Real | Decimal) and not isinstance(given, bool):
        seconds = _float(given)
    elif isinstance(given, str):
        seconds = _header_seconds(given.strip())
    if math.isnan(seconds):
        raise ValueError(
            "retry_after_s: must be a number of seconds, a timedelta, or the text of a Retry-After header, "
            f"not {type(given).__name__} {str(given)[:100]!r}"
        )
    return seconds


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _header_seconds(header: str) -> float:
    if header.isascii() and header.isdigit():
        return float(header[:20])
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return math.nan
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
