"""Task types that run beside each other in one child, and do there what harms neighbours.

A run does what its input says until the file `go` or `go-JOB` is in its folder, and writes ticks into its diary.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pydantic import BaseModel

from jobcore.errors import JobCancelled
from jobcore.tasks import AsyncContext, JobContext, task
from tests.fault.diary import note
from tests.fault.tasks import Done

TICK_S = 0.5


class Does(BaseModel):
    """What a run does, for how many seconds at most, and where its diary is."""

    does: str = "wait"
    seconds: float = 600.0
    folder: str


@task("test_async", input=Does, output=Done, max_attempts=1)
async def in_async(ctx: AsyncContext, input: Does) -> Done:
    """Do it on the event loop."""
    note(input.folder, ctx.job_id, ctx.fence)
    if input.does == "swallow":
        while not _may_end(ctx, input):
            try:
                await asyncio.sleep(TICK_S)
            except asyncio.CancelledError:
                continue
    elif input.does == "block":
        time.sleep(input.seconds)
    else:
        await _until_it_may_end(ctx, input)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_thread", input=Does, output=Done, max_attempts=1, lane="thread")
def in_thread(ctx: JobContext, input: Does) -> Done:
    """Do it in a thread of its own."""
    note(input.folder, ctx.job_id, ctx.fence)
    if input.does == "block":
        time.sleep(input.seconds)
    while not _may_end(ctx, input):
        try:
            time.sleep(TICK_S)
            note(input.folder, ctx.job_id, ctx.fence)
        except JobCancelled:
            if input.does != "swallow":
                raise
    return Done(fence=ctx.fence, attempt=ctx.attempt)


async def _until_it_may_end(ctx: AsyncContext, input: Does) -> None:
    ends_at = time.monotonic() + input.seconds
    while not _may_end(ctx, input) and time.monotonic() < ends_at:
        await asyncio.sleep(TICK_S)
        note(input.folder, ctx.job_id, ctx.fence)


def _may_end(ctx: AsyncContext | JobContext, input: Does) -> bool:
    return any((Path(input.folder) / name).exists() for name in ("go", f"go-{ctx.job_id}"))
