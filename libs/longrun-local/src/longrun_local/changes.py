"""Notices that source files have changed. An event of the file system is a hint; comparing the files tells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from watchfiles import Change, watch

from longrun_local.sources import Sources

POLL_S: Final = 2.0
"""How often the files are compared without an event, in seconds: some network file systems send none."""


class Changes:
    """Which source files have changed since they were last taken. Watches them inside a `with` block."""

    def __init__(self, sources: Sources, say: Callable[[str], None]) -> None:
        self._sources = sources
        self._say = say
        self._taken = sources.files()
        self._different = False
        self._hint = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)

    def found(self) -> bool:
        """Whether files have changed since the last `take`."""
        if self._hint.is_set():
            self._hint.clear()
            self._different = self._sources.files() != self._taken
        return self._different

    def take(self) -> list[Path]:
        """The files that were added, changed or removed since the last call."""
        before, self._taken = self._taken, self._sources.files()
        self._different = False
        return sorted(path for path in {*before, *self._taken} if before.get(path) != self._taken.get(path))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                self._watch_folders(self._sources.folders())
            except OSError as error:
                self._say(f"cannot watch the files ({error}); comparing them every {POLL_S:g} s instead")
                while not self._ended.wait(POLL_S):
                    self._hint.set()

    def _watch_folders(self, folders: list[Path]) -> None:
        """Watch these folders until others matter."""
        events = watch(
            *folders,
            recursive=False,
            watch_filter=_may_matter,
            stop_event=self._ended,
            rust_timeout=int(POLL_S * 1000),
            yield_on_timeout=True,
        )
        for _ in events:
            self._hint.set()
            if self._sources.folders() != folders:
                return


def _may_matter(_: Change, path: str) -> bool:
    return path.endswith(".py") or "." not in Path(path).name  # a folder may hold files
