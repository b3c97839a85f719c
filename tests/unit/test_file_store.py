"""Both places for files keep the same promises: a folder, and a bucket of a server that speaks S3."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from jobcore.errors import FileBytesMissing, FileStoreUnavailable
from jobcore.files import FileStore, open_store
from jobcore.files.folder import FolderStore
from tests.s3 import S3Server

LARGE = 12 * 2**20 + 5
"""More than two parts of an upload to S3."""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    try:
        with S3Server(tmp_path_factory.mktemp("s3")) as server:
            yield server
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    place = str(tmp_path / "files")
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        place = server.new_place()
    found = open_store(place)
    assert found is not None
    return found


def write(store: FileStore, content: bytes, key: UUID | None = None) -> UUID:
    key = key or uuid7()
    with store.writer(key, len(content)) as file:
        for start in range(0, len(content), 2**20):
            file.write(content[start : start + 2**20])
    return key


def read(store: FileStore, key: UUID, start: int, end: int) -> bytes:
    reader = store.reader(key)
    content = b""
    while start + len(content) < end:
        content += reader.read(start + len(content), min(store.piece_bytes, end - start - len(content)))
    reader.close()
    return content


@pytest.mark.parametrize("size", [0, 1, 2**20, LARGE])
def test_a_file_is_read_as_it_was_written_whole_and_in_part(store: FileStore, size: int) -> None:
    content = os.urandom(size)
    key = write(store, content)
    assert read(store, key, 0, size) == content
    if size > 2:
        assert read(store, key, 1, size - 1) == content[1 : size - 1]
        assert read(store, key, size - 1, size) == content[-1:]


def test_of_a_file_whose_writing_failed_nothing_is_left(store: FileStore) -> None:
    key = uuid7()
    with pytest.raises(KeyboardInterrupt), store.writer(key, LARGE) as file:  # noqa: PT012
        for _ in range(7):
            file.write(b"x" * 2**20)
        raise KeyboardInterrupt
    with pytest.raises(FileBytesMissing, match="LONGRUN_FILES"):
        read(store, key, 0, 1)


def test_deleted_files_are_gone_and_deleting_them_again_does_no_harm(store: FileStore) -> None:
    keys = [write(store, b"one"), write(store, b"two")]
    kept = write(store, b"three")
    for _ in range(2):
        store.delete([*keys, uuid7()])
    for key in keys:
        with pytest.raises(FileBytesMissing):
            read(store, key, 0, 3)
    assert read(store, kept, 0, 5) == b"three"


def test_a_reader_that_has_begun_reads_the_file_that_it_opened_though_it_is_deleted(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    key = write(store, b"first, second")
    reader = store.reader(key)
    assert reader.read(0, 5) == b"first"
    store.delete([key])
    assert reader.read(5, 100) == b", second"
    reader.close()


def test_a_folder_that_is_full_says_so_and_keeps_nothing_of_the_file(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))  # EFBIG, as ENOSPC, in the middle of a write
    try:
        with pytest.raises(FileStoreUnavailable, match="is full"):
            write(store, b"x" * 3 * 2**20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = FolderStore(tmp_path / "taken")
    with pytest.raises(FileStoreUnavailable, match="taken cannot be used: Not a directory"):
        write(store, b"x")


def test_a_bucket_that_does_not_exist_and_a_server_that_is_away_are_named(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://no-such-bucket/files")
    assert store is not None
    with pytest.raises(FileStoreUnavailable, match=r"s3://no-such-bucket/files"):
        write(store, b"x")
