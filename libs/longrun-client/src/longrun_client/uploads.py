"""A file that is being uploaded: read in pieces, and from its begin again for each try."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from mimetypes import guess_type
from types import TracebackType
from typing import IO, Final, Self

import anyio.to_thread

from longrun_client.calls import Call
from longrun_client.models_files import UploadedFile
from longrun_client.options import Source, SubmitOptions

PIECE_BYTES: Final = 256 * 1024
UNKNOWN: Final = "application/octet-stream"
STORING_S: Final = 120.0
"""For how many seconds the server may make the last byte durable before it answers."""
CALL: Final = Call("POST", "/files", UploadedFile.model_validate)


class Upload:
    """The bytes of a file on their way to the server. A path is opened for the block. Raises OSError."""

    def __init__(self, source: Source, media_type: str | None = None) -> None:
        self._source = source
        named = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
        name = os.fspath(named) if isinstance(named, str | os.PathLike) else ""
        self._media_type = media_type or guess_type(name)[0] or UNKNOWN
        self._open = ExitStack()
        self._file: IO[bytes]
        self._begin = 0
        self._size: int | None = None
        self.can_repeat = False
        """Whether it can be read once more."""

    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        length = {} if self._size is None else {"Content-Length": str(self._size)}
        return {"Content-Type": self._media_type, **length}

    def pieces(self) -> Iterator[bytes]:
        """The bytes, from the begin."""
        if self.can_repeat:
            self._file.seek(self._begin)
        while piece := self._file.read(PIECE_BYTES):
            yield piece

    async def pieces_async(self) -> AsyncIterator[bytes]:
        """The bytes, read in threads."""
        pieces = self.pieces()
        while piece := await anyio.to_thread.run_sync(next, pieces, b""):
            yield piece

    def __enter__(self) -> Self:
        if isinstance(self._source, str | os.PathLike):
            self._file = self._open.enter_context(open(self._source, "rb"))
        else:
            self._file = self._source
        if self._file.seekable():
            self._begin = self._file.tell()
            self._size = self._file.seek(0, os.SEEK_END) - self._begin
            self.can_repeat = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def to_upload(options: SubmitOptions) -> dict[str, Source]:
    """The files of a submission that are not uploaded yet, by their names."""
    files = options.get("files") or {}
    return {name: file for name, file in files.items() if not isinstance(file, UploadedFile)}


def with_uploaded(options: SubmitOptions, uploaded: Mapping[str, UploadedFile]) -> SubmitOptions:
    """The options of a submission whose files are all uploaded."""
    files = options.get("files")
    return {**options, "files": {**files, **uploaded}} if files else options
