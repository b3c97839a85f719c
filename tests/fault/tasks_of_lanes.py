"""Task types of the async and thread lanes, and what misbehaves there: a run that blocks, stops, or ends badly."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Literal

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


@task("test_block_loop", input=TickInput, output=Done, max_attempts=3, backoff_s=0.2)
async def block_loop(ctx: AsyncContext, input: TickInput) -> Done:
    """Tick on the event loop, and let no other run there go on meanwhile."""
    end = time.monotonic() + input.seconds
    while time.monotonic() < end:
        note(input.folder, ctx.job_id, ctx.fence)
        time.sleep(TICK_S)
    return Done(fence=ctx.fence, attempt=ctx.attempt)


class StopLoop(BaseModel):
    """How the first attempt ends the event loop of its child."""

    how: Literal["stop", "exit", "interrupt", "thread"]


@task("test_stop_loop", input=StopLoop, output=Done, max_attempts=3, backoff_s=0.2)
async def stop_loop(ctx: AsyncContext, input: StopLoop) -> Done:
    """End the event loop on which other runs wait; later attempts end well."""
    if ctx.attempt == 1:
        if input.how == "exit":
            raise SystemExit(3)
        if input.how == "interrupt":
            raise KeyboardInterrupt
        if input.how == "thread":
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit)
            )
        else:
            asyncio.get_running_loop().stop()
        await asyncio.sleep(TICK_S)
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
