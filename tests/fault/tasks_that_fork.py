"""A task type whose forks use its context, while another thread of it holds the locks of that context all the time."""

from __future__ import annotations

import logging
import multiprocessing
import threading

from jobcore import JobContext, task

PATIENCE_S = 30.0
"""How long a fork may take; one that waits for a lock takes for ever."""


@task("test_forks_talk", max_attempts=1)
def forks_talk(forks: int, ctx: JobContext) -> list[int | None]:
    """Fork processes that log, print and emit; the exit code of each, None for one that did not end."""
    return _talk(ctx, forks)


@task("test_forks_talk_in_thread", max_attempts=1, lane="thread")
def forks_talk_in_thread(forks: int, ctx: JobContext) -> list[int | None]:
    """`forks_talk`, in a thread beside other runs."""
    return _talk(ctx, forks)


def _talk(ctx: JobContext, forks: int) -> list[int | None]:
    over = threading.Event()
    beside = threading.Thread(target=_talk_on, args=(ctx, over))
    beside.start()
    try:
        ctx.log("before the forks")
        ctx.emit("said", -1)
        return [_exit_code(ctx, number) for number in range(forks)]
    finally:
        over.set()
        beside.join()


def _exit_code(ctx: JobContext, number: int) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=_say, args=(ctx, number))
    process.start()
    process.join(PATIENCE_S)
    return process.exitcode


def _say(ctx: JobContext, number: int) -> None:
    ctx.progress(number)
    ctx.log(f"fork {number}")
    print(f"fork {number} prints")
    logging.getLogger(__name__).warning("fork %s warns", number)
    ctx.emit("said", number)
    ctx.checkpoint({"fork": number})


def _talk_on(ctx: JobContext, over: threading.Event) -> None:
    number = 0
    while not over.wait(0.0002):
        number += 1
        ctx.progress(number)
        if number % 50 == 0:
            print(f"beside the forks {number}")
