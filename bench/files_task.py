"""A task that stores a large file; the measure `files` names this module in LONGRUN_TASKS."""

from __future__ import annotations

import os
import tempfile

from jobcore import JobContext, task

MIB = 2**20


@task("bench_file", max_attempts=1)
def bench_file(megabytes: int, ctx: JobContext) -> str:
    """Write a file of so many MB, and store it."""
    block = os.urandom(MIB)
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        return ctx.file(file.name, "large.bin")["sha256"]
