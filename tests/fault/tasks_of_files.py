"""A task type that stores a large file."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel

from jobcore import JobContext, task
from jobcore.models import StoredFile


class FileInput(BaseModel):
    """The size of the file in bytes, the folder of the diaries, and what to store it as."""

    size: int
    folder: str
    name: str = "large.bin"


class Stored(BaseModel):
    """What was stored."""

    file: StoredFile


@task("test_file", input=FileInput, output=Stored, max_attempts=2)
def file(ctx: JobContext, input: FileInput) -> Stored:
    """Store a file of zeros, which takes no room while nobody copies it."""
    with (Path(input.folder) / ctx.job_id).open("a") as diary:
        print(os.getpid(), ctx.fence, time.monotonic(), file=diary, flush=True)
    with tempfile.NamedTemporaryFile() as large:
        os.truncate(large.name, input.size)
        return Stored(file=ctx.file(large.name, input.name))
