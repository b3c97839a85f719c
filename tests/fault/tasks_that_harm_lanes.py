"""Task types that harm the lanes async and thread: they block, end or stop what other runs share."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import BaseModel

from jobcore import AsyncContext, JobContext, task
from tests.fault.diary import note
from tests.fault.tasks import Done, TickInput
from tests.fault.tasks_of_lanes import TICK_S, stubborn_async, tick_async


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


@task("test_thread_bad", max_attempts=1, lane="thread")
def thread_bad(kind: str) -> None:
    """Do to a thread what would end it, or an event loop in it."""
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "run_a_loop":  # a thread may have a loop of its own
        asyncio.run(_exit())
    if kind == "fork":
        if (pid := os.fork()) == 0:
            return  # this process must end here, and not take the next run
        raise ValueError(f"the fork exited with {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")


@task("test_thread_dies", max_attempts=1, lane="thread")
def thread_dies(deaths: int, ctx: JobContext) -> int:
    """End the whole process, some times."""
    if ctx.attempt <= deaths:
        os._exit(1)
    return ctx.attempt


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
    tick = stubborn_async if deaf else tick_async
    left: Any = tick(ctx, TickInput(seconds=600, folder=folder))
    asyncio.create_task(left, name="left")  # noqa: RUF006
    await asyncio.sleep(0.1)
    return "returned"


@task("test_thread_leaves", max_attempts=1, lane="thread")
def thread_leaves(threads: int = 1) -> int:
    """Return before threads that it has started, and that keep an interpreter alive."""
    return _leave(threads)


@task("test_process_leaves", max_attempts=1)
def process_leaves(threads: int = 1) -> int:
    """Do the same on the main thread."""
    return _leave(threads)


@task("test_async_leaves_threads", max_attempts=1)
async def async_leaves_threads(threads: int = 1) -> int:
    """Do the same on the event loop, where `to_thread` leaves a thread for all runs."""
    await asyncio.to_thread(time.sleep, 0)
    return _leave(threads)


def _leave(threads: int) -> int:
    ended = threading.Thread(target=time.sleep, args=(0,), name="ended")
    ended.start()
    for number in range(threads):
        threading.Thread(target=time.sleep, args=(600,), name=f"left-{number}").start()
    return os.getpid()


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
