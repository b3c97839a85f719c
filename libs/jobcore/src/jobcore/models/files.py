"""The files of a job: those that its runs store, and those that it was submitted with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from typing_extensions import TypedDict  # Pydantic takes no other one before Python 3.12


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that a run has stored, or that its job was submitted with; `name` is how the job calls it.

    `id` is also the key of its bytes; `size` is in bytes, `sha256` hexadecimal.
    """

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that a run is about to write."""

    id: UUID
    name: str
    media_type: str


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that was uploaded and that a submission may name until `expires_at`. `id` is also the key of its bytes."""

    id: UUID
    media_type: str
    size: int
    sha256: str
    stored_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InputFileUse:
    """A staged file that a submission names; `field` is the JSON path of its id in the request."""

    file_id: UUID
    job_id: UUID
    name: str
    field: str


class StoredFile(TypedDict):
    """What `ctx.file` returns: JSON, so that it can be a result or that of a step."""

    name: str
    size: int
    """In bytes."""
    media_type: str
    sha256: str
    """Hexadecimal."""
