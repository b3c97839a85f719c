"""How many async and thread runs a child has under way, and how many more it may begin.

While a suspected run is under way there are fewer places (`store.suspects`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from jobcore.store.suspects import ALONE, places

SHARE: Final = 4
"""One claim takes at most this part of a child's places, so that jobs spread over the children: one in SHARE."""


class Room:
    """The places of a child; `size` is LONGRUN_JOBS_PER_CHILD. Any thread may call it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._suspects: list[int] = []
        """How often each run that is under way was suspected, if it was."""
        self.begun = 0
        """How many runs have begun so far."""
        self._changed = threading.Condition()

    @property
    def taken(self) -> int:
        """How many runs are under way."""
        return self._taken

    @property
    def free(self) -> int:
        """How many more runs may begin."""
        return places(self._size, max(self._suspects, default=0)) - self._taken

    @property
    def has_suspects(self) -> bool:
        """Whether a run is under way that was suspected: then no other run begins on the main thread."""
        return bool(self._suspects)

    @property
    def suspected(self) -> int:
        """How often a run may have been suspected that begins now."""
        if not self._taken:
            return ALONE
        return next(times for times in count() if places(self._size, times + 1) <= self._taken)

    @property
    def share(self) -> int:
        """How many places one claim may fill."""
        return min(self.free, max(1, self._size // SHARE))

    def take(self, runs: int, suspects: Iterable[int] = ()) -> None:
        """So many runs begin, some of them suspected so often; the caller knows that there is room."""
        with self._changed:
            self._taken += runs
            self._suspects += suspects
            self.begun += runs
            self._changed.notify_all()

    def give_back(self, runs: int, suspects: Iterable[int] = ()) -> None:
        """So many runs have ended."""
        with self._changed:
            self._taken -= runs
            for suspected in suspects:
                self._suspects.remove(suspected)
            self._changed.notify_all()

    def wait_free(self, timeout_s: float) -> bool:
        """Wait until there is room; False if that takes longer than `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.free > 0, timeout_s)

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until no run is under way; False if that takes longer than `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._taken, timeout_s)

    def wait_taken(self, unless: Callable[[], bool]) -> None:
        """Wait until a run is under way, or until `unless` is true and `wake` is called."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken or unless())

    def wake(self) -> None:
        """Let the waiting threads look again."""
        with self._changed:
            self._changed.notify_all()
