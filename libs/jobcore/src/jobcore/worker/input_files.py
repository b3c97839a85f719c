"""`ctx.input_file`: a file that the job was submitted with, as a local file of the run."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobcore.errors import FileBytesMissing, InvalidValue
from jobcore.files import no_place, open_store
from jobcore.host import process_folders
from jobcore.models import Claim, JobFile
from jobcore.store import input_files


class RunInputFiles:
    """The input files of one run, in a folder of its own, each fetched when the task asks for it first."""

    def __init__(self, claim: Claim, place: str | None) -> None:
        self._claim = claim
        self._place = place
        self._paths: dict[str, Path] = {}
        self._fetching = threading.Lock()
        self._folder: Path | None = None

    def path(self, name: str, call: Callable[..., Any], raise_if_stopped: Callable[[], None]) -> Path:
        """The local path of the file with this name. `call` calls a store function.

        Raises InvalidValue if the job has no such file, FileStoreUnavailable if it cannot be fetched now, and what
        `raise_if_stopped` raises, which is called after each piece.
        """
        with self._fetching:
            if name not in self._paths:
                file = _checked(name, call(input_files.of_job, self._claim.id))
                path = self._own_folder() / file.name
                self._fetch(file, path, raise_if_stopped)
                self._paths[name] = path
            return self._paths[name]

    @property
    def any(self) -> bool:
        """Whether there is something to remove."""
        return self._folder is not None

    def remove(self) -> None:
        """Remove what was fetched."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            self._paths.clear()

    def _own_folder(self) -> Path:
        if self._folder is None:
            folder = process_folders.own() / f"{self._claim.id}-{self._claim.fence}"
            folder.mkdir()
            self._folder = folder
        return self._folder

    def _fetch(self, file: JobFile, path: Path, raise_if_stopped: Callable[[], None]) -> None:
        store = open_store(self._place)
        if store is None:
            raise no_place()
        reader, digest, start = store.reader(file.id), hashlib.sha256(), 0
        try:
            with path.open("wb") as target:
                while start < file.size:
                    raise_if_stopped()
                    piece = reader.read(start, min(store.piece_bytes, file.size - start))
                    digest.update(piece)
                    target.write(piece)
                    start += len(piece)
        finally:
            reader.close()
        if digest.hexdigest() != file.sha256:
            raise FileBytesMissing(f"the input file {file.name!r} in LONGRUN_FILES is not the one that was uploaded")


def _checked(name: Any, files: list[JobFile]) -> JobFile:
    found = next((file for file in files if file.name == name), None)
    if found is None:
        raise InvalidValue(no_such(name, [file.name for file in files]))
    return found


def no_such(name: Any, known: list[str]) -> str:
    """The message for a name that no input file of the job has."""
    return f"input_file: the job has no input file {name!r:.300}; it has {', '.join(map(repr, known)) or 'none'}"
