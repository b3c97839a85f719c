"""What one run of a task in a test did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class File:
    """A result file, with its bytes."""

    media_type: str
    content: bytes


@dataclass(slots=True)
class Run:
    """What one run did. Values are as PostgreSQL would return them: a tuple is a list."""

    attempt: int
    result: Any = None
    """The result as JSON; None if the task raised."""
    logs: list[str] = field(default_factory=list)
    """The messages of `ctx.log`."""
    progress: list[dict[str, Any]] = field(default_factory=list)
    """Every `ctx.progress`, as `{"done": …, "total": …, "message": …}`."""
    emitted: list[tuple[str, Any]] = field(default_factory=list)
    """The pieces of `ctx.emit`, as pairs of a name and a value."""
    checkpoint: Any = None
    """The latest checkpoint, of this run or of the one before."""
    steps: dict[str, Any] = field(default_factory=dict)
    """The results of steps, by name, of this run and of those before."""
    files: dict[str, File] = field(default_factory=dict)
    """What `ctx.file` stored, by name, in this run and those before."""
    error: Exception | None = None
    """What the task raised, if `run` was told to return it."""
