"""Idempotency keys, and jobs that answer a submission without being made by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobcore.states import Status


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The key of a request, and the fingerprint (hexadecimal) of what it asks for."""

    text: str
    fingerprint: str
    others: frozenset[str] = frozenset()
    """Further fingerprints by which the request is recognised: of other keys of the deployment, and of none."""
    warnings: str | None = None
    """What the first answer to a submission warns of, as JSON; it is repeated with the answer."""

    def is_of(self, fingerprint: str) -> bool:
        """Whether the request asks for what has this fingerprint."""
        return fingerprint == self.fingerprint or fingerprint in self.others


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
