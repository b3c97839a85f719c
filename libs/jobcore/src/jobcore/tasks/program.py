"""What `ctx.run` takes and returns."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

Arguments = Sequence[str | os.PathLike[str]]
"""The program and its arguments."""
LineProgress = float | tuple[float, float] | None
"""What a line of output says about progress: done, or done and total; None if it says nothing."""
ReadProgress = str | re.Pattern[str] | Callable[[str], LineProgress]
"""How to read progress from a line: a function, or a pattern with the named groups `done` and `total`, or `percent`."""


class ProgramOptions(TypedDict, total=False):
    """The options of `ctx.run`."""

    progress: ReadProgress | None
    """Lines from which it reads progress are not logged."""
    cwd: str | os.PathLike[str] | None
    env: Mapping[str, str] | None
    """Variables that are added to the environment."""
    input: str | bytes | None
    """What standard input reads; it is empty otherwise."""
    check: bool
    """Whether an exit code other than 0 raises ProgramFailed; default true."""
    timeout_s: float | None
    """The most seconds for this program."""
    log: bool
    """Whether its output becomes lines of the job's log; default true."""


@dataclass(frozen=True, slots=True)
class CompletedProgram:
    """A program that has ended. `stdout` and `stderr` are the last 1,048,576 characters of each."""

    args: tuple[str, ...]
    exit_code: int
    """Negative if a signal killed it: -9 for SIGKILL."""
    stdout: str
    stderr: str
    truncated: bool
    """Whether `stdout` or `stderr` is only the end of what it wrote."""
