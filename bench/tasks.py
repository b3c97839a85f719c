"""The bench's own task types: jobs that do nothing, wait, block the event loop, or tell the time."""

from __future__ import annotations

import asyncio
import time

from jobcore.tasks import AsyncContext, task


@task
def no_op(number: int = 0) -> int:
    """Do nothing, in the process lane."""
    return number


@task
async def no_op_async(number: int = 0) -> int:
    """Do nothing, in the async lane."""
    return number


@task(lane="thread")
def no_op_thread(number: int = 0) -> int:
    """Do nothing, in the thread lane."""
    return number


@task
def wait(seconds: float) -> float:
    """Wait, in the process lane."""
    time.sleep(seconds)
    return seconds


@task
async def wait_async(seconds: float) -> float:
    """Wait, in the async lane."""
    await asyncio.sleep(seconds)
    return seconds


@task(lane="thread")
def wait_thread(seconds: float) -> float:
    """Wait, in the thread lane."""
    time.sleep(seconds)
    return seconds


@task
async def block_the_loop(seconds: float) -> float:
    """Wait without letting other runs of the same loop go on, as no async task should."""
    time.sleep(seconds)  # noqa: ASYNC251 (the fault that is measured)
    return seconds


@task
async def tell_the_time(ctx: AsyncContext, count: int, every_s: float) -> None:
    """Write the time into the log, again and again."""
    for _ in range(count):
        ctx.log(repr(time.time()))
        await asyncio.sleep(every_s)
