"""Where a process logs and prints, after a fork.

A text stream has a lock, which another thread may have held while the process was forked. In the fork nobody releases
it, so a `print` there would wait for ever; Python gives new locks to loggers, not to streams.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
from typing import Final, TextIO

_locked: Final[list[TextIO]] = []
"""The old streams of a fork, kept for ever: the deletion of one closes it, and would wait for its lock."""


def reopened(stream: TextIO) -> TextIO:
    """A stream to the same file with a lock of its own; the stream itself if it has no file.

    What the old one has not written yet is left to the process that was forked.
    """
    try:
        file = io.FileIO(stream.fileno(), "w", closefd=False)
    except (OSError, ValueError):
        return stream
    _locked.append(stream)
    return io.TextIOWrapper(io.BufferedWriter(file), stream.encoding, stream.errors, line_buffering=True)


@functools.cache
def reopen_in_forks() -> None:
    """From now on, every process that this one forks logs and prints to streams that nobody has locked."""
    os.register_at_fork(after_in_child=_reopen)


def _reopen() -> None:
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            setattr(sys, name, reopened(stream))
    for handler in logging.root.handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.stream, io.TextIOWrapper):
            handler.stream = reopened(handler.stream)
