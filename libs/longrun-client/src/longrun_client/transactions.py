"""Submitting a task in the application's own transaction: the task exists if and only if the transaction commits."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Unpack, overload

from pydantic import AwareDatetime, BaseModel

from longrun_client import sessions
from longrun_client.calls import time_text
from longrun_client.errors import FieldError, InvalidSubmission, SubmitNotAvailable
from longrun_client.models import Status
from longrun_client.models_files import UploadedFile
from longrun_client.options import SessionOptions
from longrun_client.sessions import AsyncpgConnection, AsyncSession, Session
from longrun_client.wire import Wire

REFUSED: Final = "LR422"
"""The SQLSTATE with which the function `submit` refuses a field; the error names the field as its column."""
NOT_AVAILABLE: Final = {
    "42883": "no function {schema}.submit is in the database of the session: Longrun's tables must be there, migrated",
    "3F000": "no schema {schema} is in the database of the session: Longrun's tables must be there, migrated",
    "42501": "the role of the session may not submit: "
    "it needs USAGE on the schema {schema} and EXECUTE on its function submit(text)",
}
"""What these SQLSTATEs mean: undefined_function, invalid_schema_name, insufficient_privilege."""


class SubmittedTask(Wire):
    """A task that exists once the transaction of its submission has committed."""

    task_id: str
    task_type: str
    status: Status
    created_at: AwareDatetime
    deduplicated: bool = False
    """Whether it was there before, because it is live and has the same `dedupe_key`."""


Input = Mapping[str, Any] | BaseModel


@overload
def submit(
    task_type: str, input: Input, *, session: Session, schema: str = "longrun", **options: Unpack[SessionOptions]
) -> SubmittedTask: ...


@overload
def submit(
    task_type: str,
    input: Input,
    *,
    session: AsyncSession | AsyncpgConnection,
    schema: str = "longrun",
    **options: Unpack[SessionOptions],
) -> Awaitable[SubmittedTask]: ...


def submit(
    task_type: str, input: Input, *, session: Any, schema: str = "longrun", **options: Unpack[SessionOptions]
) -> SubmittedTask | Awaitable[SubmittedTask]:
    """Submit a task in the transaction of `session`; with an async session, `await` the result.

    The task exists if and only if the transaction commits, and is woken up within a second of the commit. The session
    is a connection or session of SQLAlchemy, or a connection of psycopg, psycopg2 or asyncpg, to the database that has
    Longrun's tables in `schema`. One statement is sent; nothing is committed, rolled back or closed.

    Raises InvalidSubmission, which names the field, if the task is refused; NoTransaction if the session commits each
    statement by itself; SubmitNotAvailable if the database or its role has no `submit`; and what the session raises
    otherwise. After an error of PostgreSQL, the transaction can only be rolled back, whole
    or to where a nested one began.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise ValueError(f"schema: must have lower-case letters, digits and underscores, not {schema!r}")
    query = f'SELECT CAST("{schema}".submit(CAST({sessions.PLACEHOLDER} AS text)) AS text)'
    text = _text(task_type, input, options)
    with _explained(schema):
        answer = sessions.run(session, query, text)
    return _read(answer) if isinstance(answer, str) else _awaited(answer, schema)


async def _awaited(answer: Awaitable[str], schema: str) -> SubmittedTask:
    with _explained(schema):
        return _read(await answer)


def _read(answer: str) -> SubmittedTask:
    return SubmittedTask.model_validate_json(answer)


def _text(task_type: str, input: Input, options: SessionOptions) -> str:
    """The submission as JSON. Raises InvalidSubmission, which names the member that JSON cannot express."""
    given = {"task_type": task_type, "input": input, "traceparent": _traceparent(), **options}
    if files := options.get("files"):
        given["files"] = {name: _file_id(name, file) for name, file in files.items()}
    members = [f"{json.dumps(name)}:{_json(name, value)}" for name, value in given.items() if value is not None]
    return f"{{{','.join(members)}}}"


def _json(name: str, value: Any) -> str:
    try:
        if isinstance(value, datetime):
            value = time_text(name, value)
        if isinstance(value, BaseModel):
            return value.model_dump_json(by_alias=True)
        text = json.dumps(dict(value) if isinstance(value, Mapping) else value, allow_nan=False, ensure_ascii=False)
        text.encode()  # a lone surrogate is not a character
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSubmission(FieldError(field=name, message=str(error).removeprefix(f"{name}: "))) from None
    return text


def _file_id(name: str, file: object) -> str:
    if not isinstance(file, UploadedFile):
        raise InvalidSubmission(
            FieldError(
                field=f"files.{name}",
                message="a transaction uploads no files: give what Longrun.upload or AsyncLongrun.upload returned",
            )
        )
    return file.file_id


def _traceparent() -> str | None:
    """The current span as a W3C traceparent, if the application traces itself with OpenTelemetry."""
    trace = sys.modules.get("opentelemetry.trace")
    span = trace.get_current_span().get_span_context() if trace else None
    if span is None or not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"


@contextmanager
def _explained(schema: str) -> Iterator[None]:
    """Raise an error of ours for one of the session that means a refusal, or that submitting is not possible at all."""
    try:
        yield
    except Exception as error:
        if explained := _explanation(error, schema):
            raise explained from error
        raise


def _explanation(error: Exception, schema: str) -> Exception | None:
    # SQLAlchemy wraps the error of its driver, and its adapter of asyncpg wraps that one
    causes = [error, getattr(error, "orig", None)]
    for cause in [*causes, *(getattr(cause, "__cause__", None) for cause in causes)]:
        code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        said = getattr(cause, "diag", cause)
        field = getattr(said, "column_name", None)
        if code == REFUSED and field:
            message = getattr(said, "message_primary", None) or str(getattr(said, "message", error))
            return InvalidSubmission(FieldError(field=field, message=message.removeprefix(f"{field}: ")))
        if code in NOT_AVAILABLE:
            return SubmitNotAvailable(NOT_AVAILABLE[code].format(schema=schema))
    return None
