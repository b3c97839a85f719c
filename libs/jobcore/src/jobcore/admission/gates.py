"""Letting jobs pass the gates of their keys (store/limits.py), and waking workers for places that became free.

A courtesy of whoever sees places become free: the keeper does the same for all every second.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Final

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, Change
from jobcore.store import limits
from jobcore.store.database import Database
from jobcore.store.promotion import Promoted

LOOK_S: Final = 0.25
"""A look at all keys takes so long at most, and goes on where it ended the next time."""


class Gates:
    """The gates of all keys; `wake` asks for so many wake-ups of a queue."""

    def __init__(self, db: Database, wake: Callable[[str, int], None]) -> None:
        self._db = db
        self._wake = wake
        self._last_key = ""

    def arrived(self, accepted: Iterable[Accepted]) -> None:
        """Jobs were accepted: those at a gate may find a place at once."""
        self._let_pass({job.concurrency_key for job in accepted if job.concurrency_key and job.gate})

    def became_due(self, promoted: Iterable[Promoted]) -> None:
        """What waited for its time is at its gate now. Raises StoreUnavailable."""
        self._pass({key for queue in promoted for key in queue.keys})

    def freed(self, changes: Iterable[Change]) -> None:
        """Runs are over: their places are free for others."""
        changes = list(changes)
        self._let_pass({change.concurrency_key for change in changes if change.concurrency_key})
        for queue, places in Counter(change.queue for change in changes if change.limited).items():
            self._wake(queue, places)

    def look(self) -> bool:
        """Let jobs pass the gates of all keys that have places; whether more could pass at once.

        Raises StoreUnavailable.
        """
        until = time.monotonic() + LOOK_S
        passed = 0
        while time.monotonic() < until:
            waiting = self._db.call(limits.blocked_keys, self._last_key)
            passed += self._pass(waiting.keys)
            self._last_key = waiting.last or ""
            if not waiting.last:
                if not passed:
                    return False
                passed = 0
        return passed > 0

    def _let_pass(self, keys: Collection[str]) -> None:
        with suppress(StoreUnavailable):
            self._pass(keys)

    def _pass(self, keys: Collection[str]) -> int:
        passed = 0
        ordered = sorted(keys)
        for first in range(0, len(ordered), limits.MAX_KEYS):
            for queue, ready in self._db.call(limits.unblock, ordered[first : first + limits.MAX_KEYS]).items():
                passed += ready
                self._wake(queue, ready)
        return passed
