"""Files in a folder that the API and all workers share: a local disk, or a volume that all of them mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import UUID

from jobcore.errors import FileBytesMissing, FileStoreUnavailable
from jobcore.files.file_store import FileReader, FileWriter

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FolderStore:
    """Keeps each file as `FOLDER/xx/KEY`; `xx` is the end of its key, so that no folder gets too large."""

    piece_bytes = 256 * 1024

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def writer(self, key: UUID, size: int) -> Iterator[FileWriter]:
        """Write a new file; it and its folder are synced to the disk (fsync(2)) at the end of the block."""
        path = self._path(key)
        with self._explained(path):
            file = self._create(path)
        try:
            yield _Writer(file, path, self)
            with self._explained(path):
                os.fsync(file)
                _sync_folder(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    def reader(self, key: UUID) -> FileReader:
        """Read a file. It can be read to its end even if it is deleted meanwhile."""
        path = self._path(key)
        with self._explained(path):
            return _Reader(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path, self)

    def delete(self, keys: Sequence[UUID]) -> None:
        """Delete files."""
        for key in keys:
            path = self._path(key)
            with suppress(FileBytesMissing), self._explained(path):
                path.unlink()

    def _create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(self._folder)
            return os.open(path, flags, 0o666)

    def _path(self, key: UUID) -> Path:
        return self._folder / key.hex[-2:] / str(key)

    @contextmanager
    def _explained(self, path: Path) -> Iterator[None]:
        """Turn errors of the operating system into ours."""
        try:
            yield
        except FileNotFoundError:
            raise FileBytesMissing(
                f"its bytes are not in LONGRUN_FILES={self._folder}: give the API and all workers the same folder, "
                "or set LONGRUN_FILES to an S3 bucket"
            ) from None
        except OSError as error:
            if error.errno in FULL:
                raise FileStoreUnavailable(f"LONGRUN_FILES={self._folder} is full ({error.strerror})") from error
            raise FileStoreUnavailable(f"LONGRUN_FILES={self._folder} cannot be used: {error.strerror}") from error


class _Writer:
    def __init__(self, file: int, path: Path, store: FolderStore) -> None:
        self._file = file
        self._path = path
        self._store = store

    def write(self, piece: bytes, /) -> None:
        """Add these bytes."""
        left = memoryview(piece)
        with self._store._explained(self._path):
            while left:
                left = left[os.write(self._file, left) :]


class _Reader:
    def __init__(self, file: int, path: Path, store: FolderStore) -> None:
        self._file = file
        self._path = path
        self._store = store

    def read(self, start: int, size: int) -> bytes:
        """The bytes from `start` on."""
        with self._store._explained(self._path):
            piece = os.pread(self._file, size, start)
            if not piece:
                raise FileBytesMissing(f"{self._path} ends before byte {start:,}")
            return piece

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
