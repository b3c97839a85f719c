"""Finds the modules of task types: those of entry points, and those that LONGRUN_TASKS names."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from jobcore.tasks.registry import Registry, TaskType, registry

ENTRY_POINT_GROUP: Final = "longrun.tasks"
OWN_FOLDER: Final = Path(__file__).parent
PACKAGE_FILE: Final = "__init__.py"
NO_TASKS: Final = ("conftest.py", "setup.py")


@cache
def load_tasks(modules: tuple[str, ...] = ()) -> Registry:
    """Import the module of every entry point of the group `longrun.tasks`, and these; returns the registry.

    A module is a dotted name, the path of a file that ends in `.py`, or the path of a folder, which contains a slash.
    One that cannot be imported is noted in `Registry.broken` with its reason; none of its task types is registered,
    and the others are imported all the same.
    """
    for name, load in _found(modules):
        try:
            load()
        except (Exception, SystemExit) as error:  # a module may do anything
            registry.broken[name] = _reason(error)
            registry.keep(_is_imported)
    return registry


def task_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold task types: not those of tests, and none whose name begins with _."""
    return sorted(
        path
        for path in folder.glob("*.py")
        if not path.name.startswith(("_", "test_")) and path.name not in NO_TASKS and path.is_file()
    )


def _found(modules: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Any]]]:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        yield entry_point.value, entry_point.load
    for name in modules:
        if name.endswith(".py"):
            yield Path(name).name, partial(_load_file, Path(name))
        elif "/" in name:
            files = task_files(Path(name)) or [Path(name)]  # loading an empty folder says what is wrong
            yield from ((path.name, partial(_load_file, path)) for path in files)
        else:
            yield name, partial(_load_module, name)


def _is_imported(task_type: TaskType) -> bool:
    """False for a task type of a module that has failed after it registered the type."""
    return getattr(task_type.function, "__module__", None) in sys.modules


def _load_module(name: str) -> None:
    _add_to_path(Path.cwd())
    importlib.import_module(name)


def _load_file(path: Path) -> None:
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError("this folder has no task files" if path.is_dir() else "there is no such file")
    folder, name = _place(path)
    alone = folder == path.parent
    top = name if alone else name.partition(".")[0]
    top_file = path if alone else folder / top / PACKAGE_FILE
    known = sys.modules.get(top)
    if known is not None and getattr(known, "__file__", None) != str(top_file):
        raise ImportError(f"another module is named {top}: rename the {'file' if alone else 'folder'}")
    _add_to_path(folder)
    if known is None:
        _execute(top, top_file)
    if name not in sys.modules:
        importlib.import_module(name)


def _place(path: Path) -> tuple[Path, str]:
    """The folder from which a file is imported, and the name: a file of a package is imported as a part of it."""
    folder, name = path.parent, path.stem
    while (folder / PACKAGE_FILE).is_file():
        name = folder.name if name == Path(PACKAGE_FILE).stem else f"{folder.name}.{name}"
        folder = folder.parent
    return folder, name


def _execute(name: str, path: Path) -> None:
    """Import a file under this name, also if a library that comes first on the path has the name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def _add_to_path(folder: Path) -> None:
    """Let modules of the folder be imported; at the end, so that none takes the place of a library."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _reason(error: BaseException) -> str:
    """One line: the error, and the line of code that raised it. Clients see it, so it names no folder."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent != OWN_FOLDER and not frame.filename.startswith("<frozen ")
    ]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())
