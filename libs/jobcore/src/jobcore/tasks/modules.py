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

from jobcore.tasks.registry import Registry, registry

ENTRY_POINT_GROUP: Final = "longrun.tasks"
OWN_FOLDER: Final = Path(__file__).parent


@cache
def load_tasks(modules: tuple[str, ...] = ()) -> Registry:
    """Import the module of every entry point of the group `longrun.tasks`, and these; returns the registry.

    A module is a dotted name, or the path of a file that ends in `.py`. One that cannot be imported is noted in
    `Registry.broken` with its reason, and the others are imported all the same.
    """
    for name, load in _found(modules):
        try:
            load()
        except (Exception, SystemExit) as error:  # a module may do anything
            registry.broken[name] = _reason(error)
    return registry


def _found(modules: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Any]]]:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        yield entry_point.value, entry_point.load
    for name in modules:
        if name.endswith(".py"):
            yield Path(name).name, partial(_load_file, Path(name))
        else:
            yield name, partial(importlib.import_module, name)


def _load_file(path: Path) -> None:
    path = path.resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError("there is no such file")
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) != str(path):
        raise ImportError(f"another module is named {path.stem}: rename the file")
    # at the end, so that a file beside it does not take the place of a library
    sys.path.append(str(path.parent))
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def _reason(error: BaseException) -> str:
    """One line: the error, and the line of code that raised it. Clients see it, so it names no folder."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent != OWN_FOLDER and not frame.filename.startswith("<frozen ")
    ]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}{where}".split())
