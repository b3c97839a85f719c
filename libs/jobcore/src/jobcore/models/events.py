"""Events of a job, stored and not stored yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
