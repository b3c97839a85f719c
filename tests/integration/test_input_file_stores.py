"""An input file from its upload to the run that reads it and to its deletion, in a folder and in a bucket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jobcore.errors import FileBytesMissing
from jobcore.files import open_store
from jobcore.models import Claim, NewJobWithFiles, StagedFile
from jobcore.store import input_files, jobs_with_files
from jobcore.worker.input_files import RunInputFiles
from longrun_api.database import AsyncDatabase
from longrun_api.uploads import Uploads
from tests.integration.store.world import World
from tests.s3 import S3Server

CONTENT = os.urandom(6 * 2**20 + 5)
"""More than one part of an upload to S3."""


class Broken(Exception):
    """The client is gone."""


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A value for LONGRUN_FILES."""
    if request.param == "folder":
        yield str(tmp_path / "files")
        return
    try:
        with S3Server(tmp_path / "s3") as server:
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            yield server.new_place()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


async def pieces(*, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(CONTENT), 2**20):
        yield CONTENT[start : start + 2**20]
    if breaks:
        raise Broken


def upload(world: World, place: str, *, breaks: bool = False) -> StagedFile:
    async def staged() -> StagedFile:
        uploads = Uploads(AsyncDatabase(world.db, 2, 30.0), place, max_bytes=2**30, keep_s=3600.0)
        return await uploads.stage(pieces(breaks=breaks), "video/mp4", None)

    return asyncio.run(staged())


def claimed(world: World) -> Claim:
    """A run of the job that waits."""
    [claim] = world.take(world.worker())
    return claim


def test_what_was_uploaded_is_what_the_run_reads_until_it_ends(world: World, place: str) -> None:
    staged = upload(world, place)
    job = NewJobWithFiles.of(world.new(), {"clip.mp4": staged.id})
    world.call(jobs_with_files.accept, job, None, None)
    inputs = RunInputFiles(claimed(world), place)
    path = inputs.path("clip.mp4", world.call, lambda: None)
    assert (path.name, path.read_bytes()) == ("clip.mp4", CONTENT)
    assert inputs.path("clip.mp4", world.call, lambda: None) == path
    inputs.remove()
    assert not path.exists()


def test_an_upload_that_breaks_leaves_no_bytes(world: World, place: str) -> None:
    with pytest.raises(Broken):
        upload(world, place, breaks=True)
    [file_id] = world.call(input_files.doomed, 100)
    store = open_store(place)
    assert store is not None
    with pytest.raises(FileBytesMissing):
        store.reader(file_id).read(0, 1)


def test_a_run_does_not_read_bytes_that_are_not_those_that_were_uploaded(world: World, place: str) -> None:
    staged = upload(world, place)
    job = NewJobWithFiles.of(world.new(), {"clip.mp4": staged.id})
    world.call(jobs_with_files.accept, job, None, None)
    world.sql("UPDATE input_files SET sha256 = '00' WHERE id = :id RETURNING 1", id=staged.id)
    inputs = RunInputFiles(claimed(world), place)
    with pytest.raises(FileBytesMissing, match="is not the one that was uploaded"):
        inputs.path("clip.mp4", world.call, lambda: None)
    inputs.remove()
