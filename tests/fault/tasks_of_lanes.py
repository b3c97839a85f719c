"""Task types of the lanes async and thread: runs that tick, that do not stop, and that start processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Any, Literal

from pydantic import BaseModel

from jobcore.tasks import AsyncContext, JobContext, task
from tests.fault.diary import note, program
from tests.fault.tasks import Done, TickInput

TICK_S = 0.1


@task("test_tick_async", input=TickInput, output=Done, max_attempts=1)
async def tick_async(ctx: AsyncContext, input: TickInput) -> Done:
    """Tick on the event loop."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        note(input.folder, ctx.job_id, ctx.fence)
        await asyncio.sleep(TICK_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_tick_thread", input=TickInput, output=Done, max_attempts=1, lane="thread")
def tick_thread(ctx: JobContext, input: TickInput) -> Done:
    """Tick in a thread."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        note(input.folder, ctx.job_id, ctx.fence)
        time.sleep(TICK_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_stubborn_async", input=TickInput, output=Done, max_attempts=1)
async def stubborn_async(ctx: AsyncContext, input: TickInput) -> Done:
    """Tick on the event loop, and swallow whatever is raised inside."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        try:
            note(input.folder, ctx.job_id, ctx.fence)
            await asyncio.sleep(TICK_S)
        except BaseException:
            continue
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_stubborn_thread", input=TickInput, output=Done, max_attempts=1, lane="thread")
def stubborn_thread(ctx: JobContext, input: TickInput) -> Done:
    """Tick in a thread, and swallow whatever is raised inside."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        try:
            note(input.folder, ctx.job_id, ctx.fence)
            time.sleep(TICK_S)
        except BaseException:
            continue
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class Starting(BaseModel):
    """For how long to tick beside a process that ignores SIGTERM, and how the first attempt ends after that."""

    seconds: float
    folder: str
    ending: Literal["leave", "raise", "die"] = "leave"


@task("test_start_process", input=Starting, output=Done, max_attempts=2, backoff_s=0.2)
def start_in_process(ctx: JobContext, input: Starting) -> Done:
    """Start a process on the main thread, and leave it behind."""
    return _start(ctx, input)


@task("test_start_thread", input=Starting, output=Done, max_attempts=2, backoff_s=0.2, lane="thread")
def start_in_thread(ctx: JobContext, input: Starting) -> Done:
    """Start a process in a thread, and leave it behind."""
    return _start(ctx, input)


@task("test_start_async", input=Starting, output=Done, max_attempts=2, backoff_s=0.2)
async def start_async(ctx: AsyncContext, input: Starting) -> Done:
    """Start a process on the event loop, and leave it behind."""
    await asyncio.create_subprocess_exec(sys.executable, *program(input.folder, ctx.job_id, ctx.fence))
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        note(input.folder, ctx.job_id, ctx.fence)
        await asyncio.sleep(TICK_S)
    return _end(ctx, input)


def _start(ctx: JobContext, input: Starting) -> Done:
    subprocess.Popen([sys.executable, *program(input.folder, ctx.job_id, ctx.fence)])
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        note(input.folder, ctx.job_id, ctx.fence)
        ctx.raise_if_cancelled()
        time.sleep(TICK_S)
    return _end(ctx, input)


def _end(ctx: JobContext | AsyncContext, input: Starting) -> Done:
    if ctx.attempt == 1 and input.ending == "raise":
        raise RuntimeError("after it started a process")
    if ctx.attempt == 1 and input.ending == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


@task("test_lane_steps", max_attempts=2, backoff_s=0)
async def lane_steps(folder: str, ctx: AsyncContext) -> dict[str, Any]:
    """Two steps and a checkpoint; the first attempt fails after them."""

    async def effect(name: str) -> str:
        note(folder, ctx.job_id, ctx.fence)
        return name

    first = await ctx.step("first", effect, "a")
    second = await ctx.step("second", str.upper, "b")
    if ctx.attempt == 1:
        await ctx.checkpoint({"attempt": 1})
        raise RuntimeError("once more")
    return {"steps": [first, second], "checkpoint": ctx.checkpoint_state}


@task("test_lane_talks", max_attempts=1)
async def lane_talks(lines: int, ctx: AsyncContext) -> int:
    """Log more lines at once than may wait to be stored, and print one."""
    for number in range(lines):
        ctx.log(f"line {number}")
    print(f"printed by {ctx.job_id}")
    return lines
