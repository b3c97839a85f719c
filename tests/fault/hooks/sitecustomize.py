"""Lies that a test tells a Python process about its host; see `tests.fault.clock.Hooks`. Python imports this first."""

from __future__ import annotations

import errno
import mmap
import os
import time

path = os.environ.get("LONGRUN_TEST_HOOKS")
if path:
    with open(path, "r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
    true_time, true_fork, true_monotonic = time.time, os.fork, time.monotonic

    def shifted_time() -> float:
        return true_time() + words[0]

    def limited_fork() -> int:
        if words[1]:
            words[3] += 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return true_fork()

    def monotonic_without_suspends() -> float:
        return true_monotonic() - words[2]

    time.time = shifted_time
    time.monotonic = monotonic_without_suspends
    os.fork = limited_fork
