"""The files, folders and modules of task types that `longrun dev` serves, and the Python files that belong to them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from longrun_local.errors import StartError

NOT_SOURCES: Final = {"__pycache__", "node_modules"}
INSTALLED: Final = {"site-packages", "dist-packages"}
VIRTUAL_ENVIRONMENT: Final = "pyvenv.cfg"

Version = tuple[int, int, int]
"""What tells one version of a file from another: its inode, size in bytes, and time of change in nanoseconds."""


class Sources:
    """Files, folders and dotted names, as the user gave them. Raises StartError for one that does not exist."""

    def __init__(self, given: Sequence[str]) -> None:
        self.modules = tuple(_module(name) for name in given)
        """The same as LONGRUN_TASKS takes them."""
        self._roots = sorted({root for module in self.modules for root in _roots(module)})

    def folders(self) -> list[Path]:
        """The folders whose files matter: those of the sources, and the packages below them."""
        return sorted({folder for root in self._roots for folder in _packages(root)})

    def files(self) -> Mapping[Path, Version]:
        """The Python files in these folders, each with its version."""
        return {path: version for folder in self.folders() for path, version in _files(folder)}


def _module(name: str) -> str:
    path = Path(name)
    if "," in name:
        raise StartError(
            f"{name}: a name with a comma cannot be given, because LONGRUN_TASKS separates names by commas"
        )
    if path.is_dir():
        return f"{path.resolve()}/"
    if path.is_file() and path.suffix == ".py":
        return str(path.resolve())
    if path.is_file():
        raise StartError(f"{name}: the name of a file of task types ends in .py")
    if path.suffix == ".py" or "/" in name:
        raise StartError(f"{name}: there is no such file or folder")
    if not _top_level(name):
        raise StartError(f"{name}: there is no such file, folder or module")
    return name


def _roots(module: str) -> Iterator[Path]:
    if module.endswith("/"):
        yield Path(module)
    elif "/" in module:
        yield Path(module).parent
    else:
        yield from (folder for folder in _top_level(module) if not INSTALLED & set(folder.parts))


def _top_level(dotted: str) -> list[Path]:
    """The folders of the package, or of the module, that a dotted name begins with; none if it does not exist."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `load_tasks` does
    try:
        spec = importlib.util.find_spec(dotted.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder).resolve() for folder in spec.submodule_search_locations]
    return [Path(spec.origin).resolve().parent] if spec.has_location and spec.origin else []


def _packages(root: Path) -> Iterator[Path]:
    """The folder, and those below it that hold Python files; no hidden ones and no virtual environments."""
    yield root
    for entry in _entries(root):
        if entry.is_dir(follow_symlinks=False) and entry.name.isidentifier() and entry.name not in NOT_SOURCES:
            folder = Path(entry.path)
            if not (folder / VIRTUAL_ENVIRONMENT).exists() and any(_files(folder)):
                yield from _packages(folder)


def _files(folder: Path) -> Iterator[tuple[Path, Version]]:
    for entry in _entries(folder):
        if entry.name.endswith(".py") and not entry.name.startswith("."):
            with suppress(OSError):  # it is gone again
                found = entry.stat()
                yield Path(entry.path), (found.st_ino, found.st_size, found.st_mtime_ns)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # it is gone, or may not be read
        return []
