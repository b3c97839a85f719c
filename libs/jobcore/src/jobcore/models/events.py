"""Events of a job, stored and not stored yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jobcore.models.json_value import JsonText
from jobcore.states import TERMINAL


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a job; `seq` is None for progress that is only streamed and not stored."""

    seq: int | None
    at: datetime
    attempt: int
    kind: str
    data: Mapping[str, Any]

    @property
    def terminal(self) -> bool:
        """True for the state event that ends the job, unless a manual retry has reopened it since (`retried`)."""
        return self.kind == "state" and self.data.get("status") in TERMINAL and not self.data.get("retried")


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is not stored yet; it happened `age_s` seconds ago."""

    kind: str
    data: Mapping[str, Any]
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one run that are stored together, with its latest progress and its checkpoint.

    `number` rises with each batch of the run; PostgreSQL stores no batch whose number is not above the last one's. A
    batch of a process that the task forked has none, because several processes cannot share the numbers.
    """

    job_id: UUID
    fence: int
    number: int | None
    events: tuple[NewEvent, ...]
    progress: Mapping[str, Any] | None = None
    checkpoint: JsonText | None = None
    output_bytes: int = 0
    """What the output among the events counts."""
