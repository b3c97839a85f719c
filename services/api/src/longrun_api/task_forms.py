"""`POST /tasks` as multipart/form-data (RFC 7578): a task and its input files in one request.

The part `task` is the JSON of a submission and comes first, so that it is checked before gigabytes are sent. The name
of each further part is the name of an input file. The files are staged as they arrive, and the task is then submitted
with them; whatever fails, neither the task nor a file of it remains.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Container, Mapping
from contextlib import aclosing
from typing import Final

from fastapi import Request, Response
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from jobcore.errors import FieldError, InvalidInput, InvalidValue
from jobcore.files.names import checked_media_type, checked_name
from jobcore.models import IdempotencyKey, StagedFile
from jobcore.store import idempotency
from jobcore.store.idempotency import DELETED, REUSED, IdempotencyKeyInUse, IdempotencyKeyReused
from longrun_api.acceptance import accept, repeated
from longrun_api.body import IncomingBody, parsed
from longrun_api.callers import caller_of
from longrun_api.idempotency import key_text, keyed
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
    """`accept` the task of a form with its files; or repeat the answer of its idempotency key."""
    if is_wanted(request):
        raise UnsupportedMediaType("validate_only takes the submission as application/json, without the files")
    _, options = parse_options_header(request.headers["content-type"])
    text, database = key_text(request), runtime_of(request).database
    try:
        with PushMultipartParser(options.get("boundary", ""), max_segment_count=MAX_FILES + 1) as parser:
            async with aclosing(_events(request, parser)) as events:
                task = await _task(request, events)
                if text is not None and await database.call(idempotency.is_used, text):
                    return await _repeated(request, text, task, events)
                return await _accepted(request, text, task, events, traceparent)
    except MultipartError as error:
        raise MalformedForm(str(error)) from None


async def _accepted(
    request: Request, text: str | None, task: IncomingBody, events: Events, traceparent: str | None
) -> Response:
    runtime, caller = runtime_of(request), caller_of(request)
    job = await parsed(
        task, lambda body: to_job(parse(body), runtime.registry, traceparent, caller, runtime.secret_keys)
    )
    staged = dict[str, StagedFile]()
    take_upload(request)
    try:
        async for name, media_type in _files(events):
            staged[name] = await runtime.uploads.stage(_content(events), media_type, caller.owner)
        digests = {name: file.sha256 for name, file in staged.items()}
        key = None if text is None else _key(request, text, task, digests)
        return await accept(request, with_files(job, {name: file.id for name, file in staged.items()}), key)
    finally:
        # those that no task has got
        await runtime.uploads.discard([file.id for file in staged.values()], caller.owner)


async def _repeated(request: Request, text: str, task: IncomingBody, events: Events) -> Response:
    """The stored answer, also to a task that would be refused now. The files are compared and not stored again."""
    take_upload(request)
    uploads = runtime_of(request).uploads
    digests = {name: await uploads.digest(_content(events)) async for name, _ in _files(events)}
    try:
        key = _key(request, text, task, digests)
    except (ValueError, RecursionError):  # it cannot be read as JSON, so nobody was answered for it
        raise IdempotencyKeyReused(REUSED) from None
    return await repeated(request, key, IdempotencyKeyInUse(DELETED))


def _key(request: Request, text: str, task: IncomingBody, digests: Mapping[str, str]) -> IdempotencyKey:
    return keyed(request, text, task.whole(), sorted(digests.items()))


async def _events(request: Request, parser: PushMultipartParser) -> Events:
    async for chunk in request.stream():
        if chunk:
            for event in parser.parse(chunk):
                yield event
    parser.close()  # raises MultipartError if the end is missing


async def _task(request: Request, events: Events) -> IncomingBody:
    """The first part: the JSON of a submission."""
    segment = await anext(events, None)
    if not isinstance(segment, MultipartSegment) or segment.name != TASK:
        raise InvalidInput(FieldError(TASK, "is required: a part of this name with the submission as JSON comes first"))
    incoming = IncomingBody(runtime_of(request).settings.max_body_bytes)
    async for piece in _content(events):
        incoming.add(piece)
    return incoming


async def _files(events: Events) -> AsyncIterator[tuple[str, str]]:
    """The name and the media type of each further part, whose bytes are then to be read. Raises InvalidInput."""
    names = set[str]()
    async for segment in events:
        assert isinstance(segment, MultipartSegment)
        name, media_type = _of_file(segment, names)
        names.add(name)
        yield name, media_type


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
