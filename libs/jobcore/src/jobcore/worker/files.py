"""`ctx.file`: a file of the task's becomes a result file of its job."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final, NoReturn, Protocol

from uuid_utils.compat import uuid7

from jobcore.errors import InvalidValue, StoreUnavailable
from jobcore.files import FileWriter, no_place, open_store
from jobcore.files.names import checked_media_type, checked_name
from jobcore.models import Claim, NewFile, StoredFile
from jobcore.store import files
from jobcore.worker.values import Bounds

PIECE_BYTES: Final = 1024 * 1024
"""A run that should stop is noticed after each piece."""


class FileSink(Protocol):
    """Where `ctx.file` stores a file: PostgreSQL and a store of files in a worker, memory in `jobcore.testing`."""

    def begin(self, file: NewFile) -> None:
        """Announce a file. Raises InvalidValue if the job may have no more, and JobCancelled if the run must stop."""

    def writer(self, file: NewFile, size: int) -> AbstractContextManager[FileWriter]:
        """Write its bytes."""

    def finish(self, file: NewFile, size: int, sha256: str) -> None:
        """Make it visible, in place of the one of the same name. Raises JobCancelled if the run lost its claim."""

    def discard(self, file: NewFile) -> None:
        """Have what was written deleted."""


class RunFiles:
    """The files of one run.

    `call` calls a store function once, `insist` until PostgreSQL is available; `lose` raises JobCancelled.

    Raises FileStoreUnavailable if there is no place for files, or if it cannot be used.
    """

    def __init__(
        self,
        claim: Claim,
        bounds: Bounds,
        call: Callable[..., Any],
        insist: Callable[..., Any],
        lose: Callable[[], NoReturn],
    ) -> None:
        self._claim = claim
        self._bounds = bounds
        self._call = call
        self._insist = insist
        self._lose = lose

    def begin(self, file: NewFile) -> None:
        """Add the row of the file."""
        if self._bounds.files_at is None:
            raise no_place()
        begun = self._insist(files.begin, self._claim.id, self._claim.fence, file, self._bounds.files)
        if not begun.claimed:
            self._lose()
        if not begun.added:
            raise InvalidValue(f"file: a job may have {self._bounds.files:,} files (LONGRUN_MAX_FILES)")

    def writer(self, file: NewFile, size: int) -> AbstractContextManager[FileWriter]:
        """Write its bytes to the store of files."""
        store = open_store(self._bounds.files_at)
        if store is None:
            raise no_place()
        return store.writer(file.id, size)

    def finish(self, file: NewFile, size: int, sha256: str) -> None:
        """Store its row."""
        done = self._insist(files.finish, self._claim.id, self._claim.fence, file, size=size, sha256=sha256)
        if done is None:
            self._lose()

    def discard(self, file: NewFile) -> None:
        """Mark its row; while PostgreSQL is unavailable, the keeper finds it after the run has ended."""
        with suppress(StoreUnavailable):
            self._call(files.discard, file.id)


def store_file(
    sink: FileSink,
    bounds: Bounds,
    raise_if_stopped: Callable[[], None],
    path: str | os.PathLike[str],
    name: str | None,
    media_type: str | None,
) -> StoredFile:
    """Store the file at `path`, whatever its size, in constant memory; see `JobContext.file`."""
    with _opened(path) as (source, size):
        if size > bounds.file_bytes:
            raise InvalidValue(
                f"file: {os.fspath(path)!r} has {size:,} bytes, but may have {bounds.file_bytes:,} "
                "(LONGRUN_MAX_FILE_BYTES)"
            )
        called = checked_name(os.path.basename(os.fspath(path)) if name is None else name)
        file = NewFile(uuid7(), called, checked_media_type(media_type, called))
        sink.begin(file)
        try:
            with sink.writer(file, size) as target:
                digest = hashlib.sha256()
                for piece in _pieces(source, size, path):
                    raise_if_stopped()
                    digest.update(piece)
                    target.write(piece)
            sink.finish(file, size, digest.hexdigest())
        except BaseException:
            sink.discard(file)
            raise
    return StoredFile(name=file.name, size=size, media_type=file.media_type, sha256=digest.hexdigest())


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[int, int]]:
    """The descriptor of a regular file and its size. Raises InvalidValue."""
    try:
        # without O_NONBLOCK, opening a FIFO would wait for somebody to write into it
        source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"file: path {path!r:.300} cannot be a path: {error}") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise InvalidValue(f"file: {os.fspath(path)!r} is a socket, not a file") from None
        raise InvalidValue(f"file: {os.fspath(path)!r} cannot be read: {error.strerror}") from None
    try:
        seen = os.fstat(source)
        if not stat.S_ISREG(seen.st_mode):
            raise InvalidValue(f"file: {os.fspath(path)!r} is {_kind(seen.st_mode)}, not a file")
        yield source, seen.st_size
    finally:
        os.close(source)


def _pieces(source: int, size: int, path: str | os.PathLike[str]) -> Iterator[bytes]:
    left = size
    while piece := os.read(source, min(PIECE_BYTES, left + 1)):
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise InvalidValue(f"file: {os.fspath(path)!r} changed while it was stored: close it before")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device"
