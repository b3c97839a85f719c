"""The result files of a job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from typing_extensions import TypedDict  # Pydantic takes no other one before Python 3.12


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that a run has stored. `id` is also the key of its bytes; `size` is in bytes, `sha256` hexadecimal."""

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


class StoredFile(TypedDict):
    """What `ctx.file` returns: JSON, so that it can be a result or that of a step."""

    name: str
    size: int
    """In bytes."""
    media_type: str
    sha256: str
    """Hexadecimal."""
