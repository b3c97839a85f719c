"""`/tasks/{id}/files` and `/tasks/{id}/input-files`: the files of a task, listed and downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from jobcore.errors import FileBytesMissing, FileNotFound, FileStoreUnavailable
from jobcore.models import JobFile
from jobcore.models.caller import Scope
from jobcore.store import event_pages, files, input_files
from jobcore.telemetry import logs
from longrun_api import conditions
from longrun_api.auth.scopes import needs
from longrun_api.conditions import Part
from longrun_api.download import Download
from longrun_api.file_reads import Pieces
from longrun_api.methods import is_head
from longrun_api.openapi import problem_responses
from longrun_api.runtime import Runtime, runtime_of
from longrun_api.schemas_files import FileList, TaskFile
from longrun_api.task_ids import TaskId, not_found

router = APIRouter(prefix="/tasks", tags=["tasks"])
log = logs.get(__name__)

SAFE: Final = {
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    # the bytes are a task's: no browser may take them for a page of this origin
    "Content-Security-Policy": "sandbox; default-src 'none'",
}
PLAIN: Final = "!#$&+-.^_`|~"
"""The characters beside letters and digits that RFC 8187, section 3.2.1, does not encode."""
BINARY: Final = {"*/*": {"schema": {"type": "string", "format": "binary"}}}

FileName = Annotated[str, Path(description="The name of a file of the task.", max_length=1000)]


DOWNLOADS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The bytes of the file", "content": BINARY},
    206: {"description": "The bytes of the range in `Range`", "content": BINARY},
    304: {"description": "The client has this version: `If-None-Match` names its ETag"},
    **problem_responses(404, 412, 416, 503),
}

Find = Callable[[Any, UUID, str], JobFile | None]


@router.get("/{task_id}/files", response_model=FileList, responses=problem_responses(404, 503))
@needs(Scope.READ)
async def list_task_files(request: Request, task_id: TaskId) -> FileList:
    """List the result files of a task by name."""
    return await _list(request, task_id, files.of_job)


@router.get("/{task_id}/input-files", response_model=FileList, responses=problem_responses(404, 503))
@needs(Scope.READ)
async def list_task_input_files(request: Request, task_id: TaskId) -> FileList:
    """List the files that a task was submitted with, by name."""
    return await _list(request, task_id, input_files.of_job)


@router.get("/{task_id}/files/{name}", response_class=Response, responses=DOWNLOADS)
@needs(Scope.READ)
async def download_task_file(request: Request, task_id: TaskId, name: FileName) -> Response:
    """Download a result file: all of it, or the range in `Range`; `If-Range` with its ETag resumes a download."""
    return await _download(request, task_id, name, files.find)


@router.get("/{task_id}/input-files/{name}", response_class=Response, responses=DOWNLOADS)
@needs(Scope.READ)
async def download_task_input_file(request: Request, task_id: TaskId, name: FileName) -> Response:
    """Download a file that a task was submitted with, as `/tasks/{task_id}/files/{name}` does result files."""
    return await _download(request, task_id, name, input_files.find)


async def _list(request: Request, task_id: UUID, of_job: Callable[[Any, UUID], Sequence[JobFile]]) -> FileList:
    def found(connection: Any) -> Sequence[JobFile]:
        rows = of_job(connection, task_id)
        if not rows and event_pages.end(connection, task_id) is None:
            raise not_found(task_id)
        return rows

    return FileList(items=[TaskFile.of(file) for file in await runtime_of(request).database.call(found)])


async def _download(request: Request, task_id: UUID, name: str, find: Find) -> Response:
    runtime = runtime_of(request)
    file = await _find(runtime, task_id, name, find)
    try:
        return await _response(request, runtime, file)
    except FileBytesMissing:
        current = await _find(runtime, task_id, name, find)  # raises if it was deleted meanwhile
        if current.id == file.id:
            raise _explained(file) from None
        return await _response(request, runtime, current)


async def _find(runtime: Runtime, task_id: UUID, name: str, find: Find) -> JobFile:
    def found(connection: Any) -> JobFile:
        file = None if "\0" in name else find(connection, task_id, name)
        if file is None:
            if event_pages.end(connection, task_id) is None:
                raise not_found(task_id)
            raise FileNotFound(
                f"it has no file {name[:200]!r} there; its fields `files` and `input_files` list those that it has"
            )
        return file

    return await runtime.database.call(found)


async def _response(request: Request, runtime: Runtime, file: JobFile) -> Response:
    etag = f'"{file.sha256}"'
    headers = {**SAFE, "ETag": etag}
    if conditions.is_current(request.headers, etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = None if is_head(request.scope) else conditions.part(request.headers, etag, file.size)
    shown = part or Part(0, file.size)
    headers |= {
        "Content-Type": file.media_type,
        "Content-Length": str(shown.end - shown.start),
        "Content-Disposition": disposition(file.name),
    }
    pieces = await _opened(runtime, file, Part(0, min(1, file.size)) if is_head(request.scope) else shown)
    if part is None:
        return Download(pieces, HTTPStatus.OK, headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
    return Download(pieces, HTTPStatus.PARTIAL_CONTENT, headers)


async def _opened(runtime: Runtime, file: JobFile, part: Part) -> Pieces:
    try:
        return await runtime.file_reads.open(file.id, part.start, part.end)
    except FileBytesMissing as error:
        log.warning("the bytes of a file are missing", file=str(file.id), error=str(error))
        raise
    except FileStoreUnavailable as error:
        log.error("cannot read a file", file=str(file.id), error=str(error))
        raise FileStoreUnavailable("this API cannot read its LONGRUN_FILES now; its log says why") from None


def _explained(file: JobFile) -> FileBytesMissing:
    return FileBytesMissing(
        f"the bytes of {file.name!r} are not where this API looks for them: set LONGRUN_FILES of the API and all "
        "workers to one folder that they share, or to one S3 bucket"
    )


def disposition(name: str) -> str:
    """The header Content-Disposition, with the name for old clients and for those that know RFC 6266 and RFC 8187."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=PLAIN)}"
    return f'attachment; filename="{plain}"{extended}'
