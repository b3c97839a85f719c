"""Task types that run beside each other in one child, and do there what harms neighbours.

A run does what its input says until the file `go` or `go-JOB` is in its folder, and writes ticks into its diary.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from jobcore.errors import JobCancelled
from jobcore.tasks import AsyncContext, JobContext, task
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
    _note(ctx, input)
    if input.does == "swallow":
        while not _may_end(ctx, input):
            try:
                await asyncio.sleep(TICK_S)
            except asyncio.CancelledError:
                continue
    elif input.does == "block":
        time.sleep(input.seconds)
    elif input.does == "exit":
        os._exit(5)
    else:
        await _until_it_may_end(ctx, input)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_thread", input=Does, output=Done, max_attempts=1, lane="thread")
def in_thread(ctx: JobContext, input: Does) -> Done:
    """Do it in a thread of its own."""
    _note(ctx, input)
    if input.does == "block":
        time.sleep(input.seconds)
    while not _may_end(ctx, input):
        try:
            time.sleep(TICK_S)
            _note(ctx, input)
        except JobCancelled:
            if input.does != "swallow":
                raise
    return Done(fence=ctx.fence, attempt=ctx.attempt)


async def _until_it_may_end(ctx: AsyncContext, input: Does) -> None:
    ends_at = time.monotonic() + input.seconds
    while not _may_end(ctx, input) and time.monotonic() < ends_at:
        await asyncio.sleep(TICK_S)
        _note(ctx, input)


def _may_end(ctx: AsyncContext | JobContext, input: Does) -> bool:
    return any((Path(input.folder) / name).exists() for name in ("go", f"go-{ctx.job_id}"))


def _note(ctx: AsyncContext | JobContext, input: Does) -> None:
    with (Path(input.folder) / ctx.job_id).open("a") as diary:
        diary.write(f"{os.getpid()} {ctx.fence} {time.clock_gettime(time.CLOCK_MONOTONIC)}\n")
