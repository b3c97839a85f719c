"""Result files as the API shows them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field

from jobcore.models import JobFile
from longrun_api.times import Utc


class TaskFile(BaseModel):
    """A result file of the task, to be downloaded from `links.files` + `/{name}`."""

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
