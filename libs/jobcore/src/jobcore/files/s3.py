"""Files in a bucket of S3 or of a server with the same protocol, by obstore (docs/adr/0026-files.md).

Credentials, region and endpoint are those of the standard variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION, AWS_ENDPOINT_URL and others, or of the machine's role.

A process that has used obstore must not fork another one that uses it, because its threads do not survive a fork. So a
store is made by the process that uses it, at its first use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from jobcore.errors import FileBytesMissing, FileStoreUnavailable
from jobcore.files.file_store import FileReader, FileWriter

if TYPE_CHECKING:
    from obstore import WritableFile

PART_BYTES: Final = 5 * 1024 * 1024
"""The bytes of a part of an upload: the least that S3 accepts."""
MAX_PARTS: Final = 10_000
PARTS_AT_ONCE: Final = 2
REQUEST_S: Final = 60
"""The longest that one request may take, in seconds; the largest ones send a part."""
RETRY_S: Final = 45
"""Requests are tried again for so many seconds."""


class BucketStore:
    """Keeps each file as the object `PREFIX/KEY` of a bucket."""

    piece_bytes = 1024 * 1024

    def __init__(self, bucket: str, prefix: str) -> None:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        self._name = f"s3://{bucket}/{prefix}"
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "timeout": timedelta(seconds=REQUEST_S),
                "connect_timeout": timedelta(seconds=5),
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=RETRY_S)},
        )

    @contextmanager
    def writer(self, key: UUID, size: int) -> Iterator[FileWriter]:
        """Write a new object, in parts if it is large. An upload that is not completed is no object."""
        part_bytes = max(PART_BYTES, -(-size // MAX_PARTS))
        with self._explained():
            upload = obstore.open_writer(
                self._store, str(key), buffer_size=part_bytes, max_concurrency=PARTS_AT_ONCE
            ).__enter__()
        try:
            yield _Writer(upload, self)
        except BaseException as error:
            with self._explained():
                upload.__exit__(type(error), error, error.__traceback__)  # aborts the upload
            raise
        with self._explained():
            upload.close()

    def reader(self, key: UUID) -> FileReader:
        """Read an object by requests for ranges of it: a slow reader keeps no connection to the bucket."""
        return _Reader(str(key), self)

    def delete(self, keys: Sequence[UUID]) -> None:
        """Delete objects."""
        with self._explained():
            obstore.delete(self._store, [str(key) for key in keys])

    def range(self, key: str, start: int, size: int) -> bytes:
        """A range of an object."""
        with self._explained():
            return bytes(obstore.get_range(self._store, key, start=start, length=size))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of obstore into ours."""
        try:
            yield
        except FileNotFoundError:
            raise FileBytesMissing(
                f"its bytes are not in LONGRUN_FILES={self._name}: give the API and all workers the same bucket"
            ) from None
        except (BaseError, OSError) as error:
            raise FileStoreUnavailable(f"LONGRUN_FILES={self._name} cannot be used: {_first_line(error)}") from error


class _Writer:
    def __init__(self, upload: WritableFile, store: BucketStore) -> None:
        self._upload = upload
        self._store = store

    def write(self, piece: bytes, /) -> None:
        """Add these bytes; sends a part once enough have been added."""
        with self._store._explained():
            self._upload.write(piece)


class _Reader:
    def __init__(self, key: str, store: BucketStore) -> None:
        self._key = key
        self._store = store

    def read(self, start: int, size: int) -> bytes:
        """The bytes from `start` on."""
        return self._store.range(self._key, start, size)

    def close(self) -> None:
        """Nothing is held."""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
