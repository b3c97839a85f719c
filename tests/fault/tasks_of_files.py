"""Task types that store a large file, or read one that they were submitted with."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel

from jobcore import AsyncContext, JobContext, task
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


class ReadInput(BaseModel):
    """The folder of the diaries."""

    folder: str


class Read(BaseModel):
    """The SHA-256 of what was read, and where it was."""

    sha256: str
    path: str


@task("test_input_file", input=ReadInput, output=Read, max_attempts=2)
def input_file(ctx: JobContext, input: ReadInput) -> Read:
    """Read an input file."""
    with (Path(input.folder) / ctx.job_id).open("a") as diary:
        print(os.getpid(), ctx.fence, time.monotonic(), file=diary, flush=True)
    return _read(ctx.input_file("large.bin"))


@task("test_input_file_in_thread", input=ReadInput, output=Read, lane="thread")
def input_file_in_thread(ctx: JobContext, input: ReadInput) -> Read:
    """Read an input file."""
    return _read(ctx.input_file("large.bin"))


@task("test_input_file_async", input=ReadInput, output=Read)
async def input_file_async(ctx: AsyncContext, input: ReadInput) -> Read:
    """Read an input file."""
    return _read(await ctx.input_file("large.bin"))


def _read(path: Path) -> Read:
    with path.open("rb") as file:
        return Read(sha256=hashlib.file_digest(file, "sha256").hexdigest(), path=str(path))
