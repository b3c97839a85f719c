"""A piece of output, which `ctx.emit` adds to a job: checked, copied, and counted against what the job may have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Self

from jobcore.errors import InvalidValue
from jobcore.worker.steps import name_problem
from jobcore.worker.values import size_of, to_json

PIECE_MAX: Final = 64 * 1024
"""The most bytes of a piece as JSON."""
PIECE_COST: Final = 200
"""The bytes that each piece counts beside its JSON, because it is a row of its own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of output: the data of its event, and how many bytes it counts."""

    data: dict[str, Any]
    size: int

    @classmethod
    def of(cls, name: str, data: Any) -> Self:
        """A copy of what a task emits. Raises InvalidValue for a name or a value that cannot be stored."""
        if problem := name_problem(name):
            raise InvalidValue(f"emit: name {problem}, not {str(name)[:300]!r}")
        text = to_json("emit: data", data, PIECE_MAX, "a piece: emit several pieces, or store a file with ctx.file")
        return cls({"name": name, "data": json.loads(text)}, size_of(text) + PIECE_COST)


def check_fits(size: int, emitted: int, most: int) -> None:
    """Raise InvalidValue if a job that has emitted so many bytes may not emit `size` more."""
    if emitted + size > most:
        raise InvalidValue(
            f"emit: the output of this job would have {emitted + size:,} bytes, but may have {most:,} "
            "(LONGRUN_MAX_OUTPUT_BYTES): emit less, or store a file with ctx.file"
        )
