"""A file that is being downloaded: beside its target until it is whole, and continued after a broken connection."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import httpx2

from longrun_client.answers import BUSY, FIRST_DELAY_S, TRIES, unreachable
from longrun_client.errors import IncompleteDownload, LongrunError, ProblemError

HEADERS: Final = {"Accept-Encoding": "identity"}


class Download:
    """The bytes of a file on their way to `target`: first in a file with `.part` added, which is renamed at the end.

    At the end of its block, what is not whole is removed.
    """

    def __init__(self, name: str, to: str | os.PathLike[str] | None) -> None:
        target = Path(name if to is None else to)
        self.target = target / name if target.is_dir() else target
        self._part = self.target.with_name(self.target.name + ".part")
        self._file: IO[bytes] | None = None
        self._etag = ""
        self._size = 0
        self._received = 0
        self._digest = hashlib.sha256()
        self._failures = 0
        self._received_before = 0

    def headers(self) -> dict[str, str]:
        """The headers of the next request: for the rest, if something was received (RFC 9110, section 13.1.5)."""
        if not self._received:
            return HEADERS
        return {**HEADERS, "Range": f"bytes={self._received}-", "If-Range": self._etag}

    def begin(self, response: httpx2.Response) -> None:
        """A response begins: the rest of the file, or the whole of it again."""
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            self.close()
            self._file = self._part.open("wb")
            self._etag = response.headers.get("ETag", "")
            self._size = int(response.headers.get("Content-Length", -1))
            self._received = 0
            self._digest = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Keep these bytes."""
        assert self._file is not None
        self._file.write(piece)
        self._digest.update(piece)
        self._received += len(piece)

    def finish(self) -> Path:
        """Put the file into its place; raises IncompleteDownload if its bytes are not those that the server stored."""
        self.close()
        if self._received != self._size or self._etag not in ("", f'"{self._digest.hexdigest()}"'):
            self._part.unlink(missing_ok=True)
            raise IncompleteDownload(f"{self.target.name} did not arrive as it was stored: download it again")
        return self._part.replace(self.target)

    def broke(self, error: httpx2.TransportError | LongrunError, base_url: str) -> float:
        """The seconds until the next request; raises the error if there must be none.

        After TRIES failures without a further byte, there is none.
        """
        self._failures = 1 if self._received > self._received_before else self._failures + 1
        self._received_before = self._received
        is_busy = isinstance(error, ProblemError) and error.status in BUSY
        if self._failures < TRIES and (is_busy or isinstance(error, httpx2.TransportError)):
            return FIRST_DELAY_S * 2.0 ** (self._failures - 1) * (1 + random.random())  # noqa: S311
        raise unreachable(error, base_url) if isinstance(error, httpx2.TransportError) else error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self.close()
            self._part.unlink(missing_ok=True)
