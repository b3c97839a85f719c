"""Repairs a process that was forked: only the thread that forked lives in it, so no lock of another is ever released.

`os.fork` copies a process with one of its threads (fork(2)). What other threads held at that moment stays held in the
copy, and what they were about to do is not done there. An object that shares locks with such threads calls `watch`.
"""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class Forked(Protocol):
    """Something that has to be repaired in a fork."""

    def in_fork(self) -> None:
        """This process was forked just now: replace locks, and leave to the original process what is its to do."""


_watched: Final[WeakSet[Forked]] = WeakSet()


def watch(thing: Forked) -> None:
    """Call `in_fork` of this object in every process that this one forks, as long as it exists."""
    _watched.add(thing)


def _repair() -> None:
    for thing in tuple(_watched):
        thing.in_fork()


os.register_at_fork(after_in_child=_repair)
