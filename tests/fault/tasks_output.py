"""Task types that emit output, for the tests; workers find them by an entry point that `tests.harness` announces."""

from __future__ import annotations

import os
import time

from pydantic import BaseModel

from jobcore.tasks import JobContext, task

CHECKPOINT_EVERY = 25


class Emits(BaseModel):
    """How many pieces to emit, and how long to wait after each, in seconds."""

    pieces: int
    pause_s: float = 0.0


class Emitted(BaseModel):
    """Where this attempt began, and which it was."""

    start: int
    attempt: int


@task("test_emit", input=Emits, output=Emitted, max_attempts=1)
def emit(ctx: JobContext, input: Emits) -> Emitted:
    """Emit numbers, from where the checkpoint says on."""
    start = ctx.checkpoint_state or 0
    for number in range(start, input.pieces):
        ctx.emit("number", {"number": number, "pid": os.getpid()})
        if number % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1:
            ctx.checkpoint(number + 1)
        time.sleep(input.pause_s)
    return Emitted(start=start, attempt=ctx.attempt)
