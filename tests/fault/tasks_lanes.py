"""Task types of the lanes async and thread, good ones and bad ones; diaries are those of `tests.fault.tasks`."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from jobcore import AsyncContext, JobContext, task
from tests.fault.diary import note
from tests.fault.tasks import TICK_S


@task("test_async_tick", max_attempts=1)
async def async_tick(seconds: float, folder: str, ctx: AsyncContext) -> int:
    """Tick until the time is over, or until it is cancelled."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        note(folder, ctx.job_id, ctx.fence)
        await asyncio.sleep(TICK_S)
    return ctx.fence


@task("test_async_deaf", max_attempts=1)
async def async_deaf(seconds: float, folder: str, ctx: AsyncContext) -> int:
    """Tick, and swallow every cancellation."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        note(folder, ctx.job_id, ctx.fence)
        try:
            await asyncio.sleep(TICK_S)
        except asyncio.CancelledError:
            continue
    return ctx.fence


@task("test_thread_tick", max_attempts=1, lane="thread")
def thread_tick(seconds: float, folder: str, ctx: JobContext) -> int:
    """Tick, deaf to every polite request to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        note(folder, ctx.job_id, ctx.fence)
        time.sleep(TICK_S)
    return ctx.fence


@task("test_thread_deaf", max_attempts=1, lane="thread")
def thread_deaf(seconds: float, folder: str, ctx: JobContext) -> int:
    """Tick, and swallow whatever is raised inside."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            note(folder, ctx.job_id, ctx.fence)
            time.sleep(TICK_S)
        except BaseException:
            continue
    return ctx.fence


def block(seconds: float) -> None:
    """Block the thread that calls it."""
    time.sleep(seconds)


@task("test_async_block", max_attempts=1)
async def async_block(seconds: float, folder: str, ctx: AsyncContext) -> int:
    """Block the event loop, in a task of its own."""
    note(folder, ctx.job_id, ctx.fence)

    async def inner() -> None:
        await asyncio.sleep(0)
        block(seconds)

    await asyncio.gather(inner(), asyncio.sleep(0.01))
    return ctx.fence


async def _exit() -> None:
    sys.exit(3)


async def _interrupt() -> None:
    raise KeyboardInterrupt


async def _exit_in_a_task_of_its_own() -> None:
    await asyncio.create_task(_exit())


async def _exit_where_nobody_awaits() -> None:
    asyncio.create_task(_exit())  # noqa: RUF006
    await asyncio.sleep(0.1)
    raise ValueError("the run goes on")


async def _run_a_loop() -> None:
    asyncio.run(_exit())


async def _stop_the_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.1)
    raise ValueError("the loop turns")


async def _cancel_itself() -> None:
    raise asyncio.CancelledError


async def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        return  # this process must end here, and not turn the loop
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    raise ValueError(f"the fork exited with {os.waitstatus_to_exitcode(status)}")


BAD: dict[str, Callable[[], Awaitable[None]]] = {
    kind.__name__.lstrip("_"): kind
    for kind in (
        _exit,
        _interrupt,
        _exit_in_a_task_of_its_own,
        _exit_where_nobody_awaits,
        _run_a_loop,
        _stop_the_loop,
        _cancel_itself,
        _fork,
    )
}


@task("test_async_bad", max_attempts=1)
async def async_bad(kind: str) -> None:
    """Do to the event loop what would end it."""
    await BAD[kind]()


@task("test_async_dies", max_attempts=1)
async def async_dies(deaths: int, ctx: AsyncContext) -> int:
    """End the whole process, some times."""
    await asyncio.sleep(0.1)
    if ctx.attempt <= deaths:
        os._exit(1)
    return ctx.attempt


@task("test_async_ends_the_loop", max_attempts=1)
async def async_ends_the_loop(deaths: int, ctx: AsyncContext) -> int:
    """End the thread of the event loop by native code, some times."""
    await asyncio.sleep(0.1)
    if ctx.attempt <= deaths:
        ctypes.CDLL(None).pthread_exit(None)
    return ctx.attempt


@task("test_async_leaves", max_attempts=1)
async def async_leaves(folder: str, deaf: bool, ctx: AsyncContext) -> str:
    """Return before tasks that it has started."""
    function: Any = async_deaf if deaf else async_tick
    asyncio.create_task(function(600, folder, ctx), name="left")  # noqa: RUF006
    await asyncio.sleep(0.1)
    return "returned"


@task("test_thread_leaves", max_attempts=1, lane="thread")
def thread_leaves(folder: str, ctx: JobContext) -> str:
    """Return before a thread that it has started, and that keeps an interpreter alive."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "returned"


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
