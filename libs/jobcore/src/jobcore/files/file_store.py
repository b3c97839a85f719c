"""What a place for files can do. Its calls block; the API makes them in threads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID


class FileWriter(Protocol):
    """A file that is being written."""

    def write(self, piece: bytes, /) -> None:
        """Add these bytes. Raises FileStoreUnavailable."""


class FileReader(Protocol):
    """A file that is being read."""

    def read(self, start: int, size: int) -> bytes:
        """The bytes from `start` on: `size` of them, or at least one if fewer come at once.

        Raises FileBytesMissing if there are none, and FileStoreUnavailable.
        """

    def close(self) -> None:
        """Release what the reader holds."""


class FileStore(Protocol):
    """Keeps the bytes of files under keys. Every method raises FileStoreUnavailable if the place cannot be used."""

    piece_bytes: int
    """The bytes that one `read` should ask for."""

    def writer(self, key: UUID, size: int) -> AbstractContextManager[FileWriter]:
        """Write a new file of `size` bytes, which are durable once the block has ended.

        If the block raises, nothing of the file is left, unless the process dies too.
        """

    def reader(self, key: UUID) -> FileReader:
        """Read a file. Raises FileBytesMissing if it is not there."""

    def delete(self, keys: Sequence[UUID]) -> None:
        """Delete files; those that do not exist are none the less deleted."""
