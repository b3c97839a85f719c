"""`/files`: upload a file before the submission that names it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from jobcore.errors import FieldError, InvalidInput, InvalidValue
from jobcore.files.names import UNKNOWN, checked_media_type
from jobcore.models.caller import Scope
from jobcore.store import input_files
from longrun_api.auth.scopes import needs
from longrun_api.callers import caller_of
from longrun_api.openapi import problem_responses
from longrun_api.problems import UnsupportedMediaType
from longrun_api.runtime import runtime_of
from longrun_api.schemas_files import UploadedFile, UploadNotFound
from longrun_api.uploads import take_upload

router = APIRouter(prefix="/files", tags=["files"])

FileId = Annotated[UUID, Path(description="The `file_id` of an uploaded file.")]
DIGEST: Final = "Content-Digest"
ANY_TYPE: Final = "*/*"
SHA_256: Final = re.compile(r"(?:^|,) *sha-256=:([A-Za-z0-9+/=]*): *(?=,|$)")
"""The member of the header (RFC 9530, section 2) that is checked; those of other algorithms are ignored."""
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The bytes of the file; `Content-Type` is its media type.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": DIGEST,
            "in": "header",
            "required": False,
            "description": "`sha-256=:…:`, the SHA-256 of the body in base64 (RFC 9530). A body with another one is "
            "refused.",
            "schema": {"type": "string"},
        }
    ],
}


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model=UploadedFile,
    responses=problem_responses(400, 408, 413, 415, 422, 429, 503),
    openapi_extra=BODY,
)
@needs(Scope.SUBMIT)
async def upload_file(request: Request) -> Response:
    """Upload a file, which one submission may then name in `files`. It is deleted if none does by `expires_at`.

    The response is sent once the file is stored durably. A repeated request uploads another file.
    """
    headers = request.headers
    media_type, digest = _media_type(headers.get("content-type")), _digest(headers.getlist(DIGEST))
    if (coding := headers.get("content-encoding", "identity").strip().lower()) not in ("identity", ""):
        raise UnsupportedMediaType(f"send the file without Content-Encoding: {coding[:100]}", ANY_TYPE)
    length = headers.get("content-length")
    take_upload(request)
    staged = await runtime_of(request).uploads.stage(
        _body(request),
        media_type,
        caller_of(request).owner,
        size=None if length is None else int(length),
        digest=digest,
    )
    shown = UploadedFile.of(staged)
    location = f"{request.scope.get('root_path', '')}/files/{staged.id}"
    return Response(shown.model_dump_json(), HTTPStatus.CREATED, {"Location": location}, "application/json")


@router.get("/{file_id}", response_model=UploadedFile, responses=problem_responses(404, 422, 503))
@needs(Scope.SUBMIT)
async def get_uploaded_file(request: Request, file_id: FileId) -> UploadedFile:
    """Get an uploaded file that still waits for its submission."""
    owner = caller_of(request).owner
    staged = await runtime_of(request).database.call(input_files.find_staged, file_id, owner)
    if staged is None:
        raise _not_found(file_id)
    return UploadedFile.of(staged)


@router.delete("/{file_id}", status_code=HTTPStatus.NO_CONTENT, responses=problem_responses(404, 422, 503))
@needs(Scope.SUBMIT)
async def delete_uploaded_file(request: Request, file_id: FileId) -> None:
    """Delete an uploaded file that no submission has named. A file of a task is deleted with the task."""
    owner = caller_of(request).owner
    if not await runtime_of(request).database.call(input_files.discard, [file_id], owner):
        raise _not_found(file_id)


def _not_found(file_id: UUID) -> UploadNotFound:
    return UploadNotFound(f"{file_id} was never uploaded as a whole, a task has it, or it has expired")


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _media_type(given: str | None) -> str:
    if given is None:
        return UNKNOWN
    if given.strip().lower().startswith("multipart/form-data"):
        raise UnsupportedMediaType(
            "the body is the file itself (curl --data-binary @FILE); a form with a task and files goes to POST /tasks",
            ANY_TYPE,
        )
    try:
        return checked_media_type(given, "")
    except InvalidValue as error:
        raise InvalidInput(FieldError("Content-Type", str(error).removeprefix("file: media_type "))) from None


def _digest(values: list[str]) -> bytes | None:
    """The SHA-256 that the client announces; None if there is none."""
    found = SHA_256.findall(",".join(values))
    if not found:
        return None
    try:
        digest = base64.b64decode(found[-1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:  # the bytes of a SHA-256
        raise InvalidInput(FieldError(DIGEST, "must be sha-256=:…: with the 32 bytes of the digest in base64"))
    return digest
