"""Output as the API returns it."""

from __future__ import annotations

from typing import Any, Self

from pydantic import AwareDatetime

from longrun_client.models import Event
from longrun_client.wire import SeqPage, Wire


class Piece(Wire):
    """A piece of a task's output: a JSON value with a name, and the number of the attempt that emitted it."""

    seq: int
    at: AwareDatetime
    attempt: int
    name: str
    data: Any

    @classmethod
    def of(cls, event: Event) -> Self:
        """The piece in an event of kind `output`."""
        return cls.model_validate({"seq": event.seq, "at": event.at, "attempt": event.attempt, **event.data})


class OutputPage(SeqPage[Piece]):
    """A page of output, oldest first."""
