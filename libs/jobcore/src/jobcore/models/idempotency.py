"""Idempotency keys, and jobs that answer a submission without being made by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobcore.states import Status


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of a request, and the SHA-256 (hexadecimal) of what it asks for."""

    text: str
    fingerprint: str
    warnings: str | None = None
    """What the first answer to a submission warns of, as JSON; it is repeated with the answer."""


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job with which a submission is answered that made none. The fields are those of the first such answer."""

    id: UUID
    task_type: str
    status: Status
    created_at: datetime
    deduplicated: bool
    """It is the live job of the submission's dedupe key."""
    replayed: bool
    """The answer repeats that to an earlier request with the same idempotency key."""
    warnings: str | None = None
    """What the repeated answer warned of, as JSON."""
