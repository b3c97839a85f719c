"""Signs of life that a run writes, so that a test can prove when it ran and that no two runs overlapped."""

from __future__ import annotations

import os
import time
from pathlib import Path

STARTED = ".started"
"""The suffix of the diary in which processes that a run started write; each line has the fence of that run."""
MARK = "longrun-storm-process"
"""In the command line of such a process, before its diary and its fence."""
PROGRAM = f"""
import os, signal, sys, time
mark, diary, fence = sys.argv[1:]
assert mark == {MARK!r}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    with open(diary, "a") as file:
        file.write(f"{{os.getpid()}} {{fence}} {{time.clock_gettime(time.CLOCK_MONOTONIC)}}\\n")
    time.sleep(0.1)
"""
"""A program that ignores SIGTERM and gives signs of life until it is killed."""


def note(folder: str, job_id: str, fence: int) -> None:
    """Write a line into the diary of this run."""
    with (Path(folder) / job_id).open("a") as diary:
        # of all hosts one clock, also where a test lies about `time.monotonic()`
        diary.write(f"{os.getpid()} {fence} {time.clock_gettime(time.CLOCK_MONOTONIC)}\n")


def program(folder: str, job_id: str, fence: int) -> list[str]:
    """The arguments of `sys.executable` for the program that ignores SIGTERM."""
    return ["-S", "-E", "-c", PROGRAM, MARK, str(Path(folder) / f"{job_id}{STARTED}"), str(fence)]
