"""Task types that emit output, for the tests; workers find them by an entry point that `tests.harness` announces."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import BaseModel

from jobcore.tasks import JobContext, task


class Emits(BaseModel):
    """How many pieces to emit, how long to wait after each, in seconds, and the file whose presence ends the task.

    After each `checkpoint_every` pieces it stores a checkpoint.
    """

    pieces: int
    pause_s: float
    checkpoint_every: int = 25
    until: Path = Path("/")


class Emitted(BaseModel):
    """The number that this attempt began with, and the one after its last."""

    start: int
    end: int


@task("test_emit", input=Emits, output=Emitted, max_attempts=1)
def emit(ctx: JobContext, input: Emits) -> Emitted:
    """Emit numbers, from where the checkpoint says on, until there are enough and the file is there."""
    number = start = ctx.checkpoint_state or 0
    while number < input.pieces or not input.until.exists():
        ctx.emit("number", {"number": number, "pid": os.getpid()})
        number += 1
        if number % input.checkpoint_every == 0:
            ctx.checkpoint(number)
        time.sleep(input.pause_s)
    return Emitted(start=start, end=number)
