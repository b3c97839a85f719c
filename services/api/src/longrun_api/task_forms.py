"""`POST /tasks` as multipart/form-data (RFC 7578): a task and its input files in one request.

The part `task` is the JSON of a submission and comes first, so that it is checked before gigabytes are sent. The name
of each further part is the name of an input file. The files are staged as they arrive, and the task is then submitted
with them; whatever fails, neither the task nor a file of it remains.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Container
from contextlib import aclosing
from typing import Final

from fastapi import Request, Response
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from jobcore.errors import FieldError, InvalidInput, InvalidValue
from jobcore.files.names import checked_media_type, checked_name
from jobcore.models import IdempotencyKey, NewJob, StagedFile
from longrun_api.acceptance import accept
from longrun_api.body import IncomingBody, parsed
from longrun_api.callers import caller_of
from longrun_api.idempotency import fingerprint, key_text
from longrun_api.problems import HttpError, UnsupportedMediaType
from longrun_api.runtime import runtime_of
from longrun_api.submission import parse, to_job
from longrun_api.submitted_files import MAX_FILES, with_files
from longrun_api.uploads import take_upload
from longrun_api.validation import is_wanted

FORM: Final = b"multipart/form-data"
TASK: Final = "task"

Events = AsyncGenerator[MultipartSegment | bytes | bytearray | None, None]


class MalformedForm(HttpError):
    """The body is not multipart/form-data."""

    status = 400
    slug = "malformed-form"
    title = "The request body is not multipart/form-data"


def is_form(request: Request) -> bool:
    """Whether the request says that its body is a form."""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            return value[: len(FORM)].lower() == FORM  # type: ignore[no-any-return]
    return False


async def accept_form(request: Request, traceparent: str | None) -> Response:
    """`accept` the task of a form with its files."""
    if is_wanted(request):
        raise UnsupportedMediaType("validate_only takes the submission as application/json, without the files")
    _, options = parse_options_header(request.headers["content-type"])
    text, staged = key_text(request), dict[str, StagedFile]()
    uploads, owner = runtime_of(request).uploads, caller_of(request).owner
    try:
        with PushMultipartParser(options.get("boundary", ""), max_segment_count=MAX_FILES + 1) as parser:
            async with aclosing(_events(request, parser)) as events:
                body, job = await _task(request, events, traceparent)
                take_upload(request)
                async for segment in events:
                    assert isinstance(segment, MultipartSegment)
                    name, media_type = _of_file(segment, staged)
                    staged[name] = await uploads.stage(_content(events), media_type, owner)
        key = None
        if text is not None:
            content = [(name, file.sha256) for name, file in sorted(staged.items())]
            key = IdempotencyKey(text, fingerprint(request, body, content))
        return await accept(request, with_files(job, {name: file.id for name, file in staged.items()}), key)
    except MultipartError as error:
        raise MalformedForm(str(error)) from None
    finally:
        # those that no task has got
        await uploads.discard([file.id for file in staged.values()], owner)


async def _events(request: Request, parser: PushMultipartParser) -> Events:
    async for chunk in request.stream():
        if chunk:
            for event in parser.parse(chunk):
                yield event


async def _task(request: Request, events: Events, traceparent: str | None) -> tuple[bytes, NewJob]:
    """The first part, and the job that it asks for."""
    segment = await anext(events, None)
    if not isinstance(segment, MultipartSegment) or segment.name != TASK:
        raise InvalidInput(FieldError(TASK, "is required: a part of this name with the submission as JSON comes first"))
    incoming = IncomingBody(runtime_of(request).settings.max_body_bytes)
    async for piece in _content(events):
        incoming.add(piece)
    registry, caller = runtime_of(request).registry, caller_of(request)
    return incoming.whole(), await parsed(incoming, lambda body: to_job(parse(body), registry, traceparent, caller))


async def _content(events: Events) -> AsyncIterator[bytes]:
    """The bytes of the part whose head was the last event."""
    async for event in events:
        if event is None:
            return
        assert isinstance(event, bytes | bytearray)
        yield bytes(event)


def _of_file(segment: MultipartSegment, known: Container[str]) -> tuple[str, str]:
    """The name and the media type of an input file. Raises InvalidInput."""
    given = segment.name or ""
    try:
        name = checked_name(given)
        if name in known:
            raise InvalidInput(FieldError(f"files.{name}"[:200], "there are two parts of this name"))
        return name, checked_media_type(segment.content_type, segment.filename or name)
    except InvalidValue as error:
        raise InvalidInput(FieldError(f"files.{given}"[:200], str(error).removeprefix("file: "))) from None
