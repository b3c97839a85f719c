"""Output of the launcher: each line with the name of its process, in colour on a terminal, and in a log file."""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import cache
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, TextIO

LAUNCHER: Final = "longrun"
COLOURS: Final = {"api": 36, "worker": 32, "scraper": 35, "postgres": 34, "valkey": 33, LAUNCHER: 1}
WIDTH: Final = max(map(len, COLOURS))
LOG_BYTES: Final = 10_000_000


class Output:
    """The terminal, which all processes share, and a log file per process in `folder`, of at most 2 x LOG_BYTES."""

    def __init__(self, folder: Path, terminal: TextIO | None = None) -> None:
        self.folder = folder
        self._terminal: TextIO | None = terminal or sys.stdout
        self._colour = self._terminal is not None and self._terminal.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._file = cache(self._open)

    def say(self, text: str) -> None:
        """Print a line of the launcher itself."""
        self.line(LAUNCHER, text)

    def line(self, name: str, text: str, *, shown: bool = True) -> None:
        """Print a line of the process `name`; with `shown=False`, only write it to the log file."""
        self._file(name).info(text)
        if shown:
            prefix = f"{name:<{WIDTH}} |"
            self.show(f"\x1b[{COLOURS.get(name, 37)}m{prefix}\x1b[0m {text}" if self._colour else f"{prefix} {text}")

    def path(self, name: str) -> Path:
        """The log file of `name`."""
        return self.folder / f"{name}.log"

    def show(self, text: str) -> None:
        """Print text on the terminal only."""
        with self._lock:
            if self._terminal is None:
                return
            try:
                print(text, file=self._terminal, flush=True)
            except OSError:
                # The terminal or the reader of the pipe is gone; the log files continue.
                self._terminal = None

    def _open(self, name: str) -> logging.Logger:
        logger = logging.Logger(name)
        logger.addHandler(RotatingFileHandler(self.path(name), maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8"))
        return logger
