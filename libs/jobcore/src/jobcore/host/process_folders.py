"""A temporary folder of this process, which does not stay behind when the process is killed.

A process holds a lock (flock(2)) on its folder for as long as it lives, and the kernel releases it whatever ends the
process. So any other process can tell, by the lock, which folders nobody uses any more; also across containers that
share a disk, where a process id would not.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "longrun-process-"

_making: Final = threading.Lock()
_folders: Final[dict[str, Path]] = {}
"""The folder of this process, by the folder in which it is; a fork shares it."""


def own() -> Path:
    """The folder of this process, made at the first call in TMPDIR; only its user may enter it. Raises OSError."""
    with _making:
        within = tempfile.gettempdir()
        if within not in _folders:
            sweep()
            while not _hold(made := tempfile.mkdtemp(prefix=PREFIX, dir=within)):
                pass  # another process swept it before it was locked
            _folders[within] = Path(made)
        return _folders[within]


def sweep() -> None:
    """Remove the folders of processes that are dead."""
    with os.scandir(tempfile.gettempdir()) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in left:
        with suppress(OSError):  # it is locked, another user's, or gone
            _remove_unused(path)


def sweep_soon() -> None:
    """`sweep` in a thread: to remove a large file takes a while."""
    threading.Thread(target=sweep, name="sweep-folders", daemon=True).start()


def _hold(path: str) -> bool:
    """Lock a folder until this process ends; False if it was removed meanwhile."""
    with suppress(FileNotFoundError):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(folder, fcntl.LOCK_EX)
        if os.path.isdir(path):
            return True
        os.close(folder)
    return False


def _remove_unused(path: str) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(folder)
