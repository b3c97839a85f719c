"""Which store LONGRUN_FILES names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from jobcore.errors import FileStoreUnavailable
from jobcore.files.file_store import FileStore
from jobcore.files.folder import FolderStore

S3: Final = "s3://"


@lru_cache(maxsize=1)
def open_store(place: str | None) -> FileStore | None:
    """The store at a place, a folder or `s3://bucket/prefix`; None if there is no place.

    Nothing is connected or created before the first file is written.
    """
    if place is None:
        return None
    if not place.startswith(S3):
        return FolderStore(Path(place))
    from jobcore.files.s3 import BucketStore  # not before it is needed: it costs 10 MB of memory

    bucket, _, prefix = place.removeprefix(S3).partition("/")
    return BucketStore(bucket, prefix.strip("/"))


def no_place() -> FileStoreUnavailable:
    """The error for a process that has no place for files."""
    return FileStoreUnavailable(
        "LONGRUN_FILES is not set: set it, for the API and all workers, to a folder that they share, or to an S3 "
        "bucket (s3://bucket/prefix)"
    )
