"""Output as the API shows it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field

from jobcore.models import Event
from longrun_api.times import Utc


class Piece(BaseModel):
    """A piece of a task's output."""

    seq: int
    at: Utc
    attempt: int = Field(description="The attempt that emitted it; the pieces of earlier attempts stay.")
    name: str = Field(description="What the piece is, in the words of the task type.")
    data: Any = Field(description="Any JSON value.")

    @classmethod
    def of(cls, event: Event) -> Self:
        """The output event as clients see it."""
        return cls(seq=event.seq, at=event.at, attempt=event.attempt, **event.data)


class OutputPage(BaseModel):
    """Pieces in the order of `seq`."""

    items: list[Piece]
    next_after: int = Field(description="Pass it as `after` to get the pieces that follow.")
