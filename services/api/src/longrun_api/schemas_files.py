"""Files as the API shows them."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from jobcore.errors import LongrunError
from jobcore.models import JobFile, StagedFile
from longrun_api.times import Utc


class TaskFile(BaseModel):
    """A file of the task, to be downloaded by its name from `/tasks/{task_id}/files/` or `…/input-files/`."""

    name: str
    size: int = Field(description="In bytes.")
    media_type: str
    sha256: str = Field(description="SHA-256 of its bytes, hexadecimal; in quotes, it is the ETag of the file.")
    created_at: Utc

    @classmethod
    def of(cls, file: JobFile) -> Self:
        """The file as clients see it."""
        return cls(
            name=file.name,
            size=file.size,
            media_type=file.media_type,
            sha256=file.sha256,
            created_at=file.stored_at,
        )


class FileList(BaseModel):
    """The files of a task, by name."""

    items: list[TaskFile]


class UploadedFile(BaseModel):
    """A file that one submission may name in `files`."""

    file_id: UUID
    size: int = Field(description="In bytes.")
    media_type: str
    sha256: str = Field(description="SHA-256 of its bytes, hexadecimal.")
    created_at: Utc
    expires_at: Utc = Field(description="When it is deleted if no submission has named it.")

    @classmethod
    def of(cls, file: StagedFile) -> Self:
        """The file as clients see it."""
        return cls(
            file_id=file.id,
            size=file.size,
            media_type=file.media_type,
            sha256=file.sha256,
            created_at=file.stored_at,
            expires_at=file.expires_at,
        )


class UploadNotFound(LongrunError):
    """No file with this id waits for a submission."""

    status = 404
    slug = "upload-not-found"
    title = "There is no such uploaded file"
