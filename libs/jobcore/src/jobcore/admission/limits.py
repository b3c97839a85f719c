"""Unblocking jobs when a limit has free permits, and sending wake-ups for them.

Whoever frees permits calls this at once, to save time; the keeper checks the limits of all keys every second.
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

CHECK_S: Final = 0.25
"""The longest time, in seconds, that one `check` takes; the next one continues after its last key."""


class Limits:
    """The limits of queues and concurrency keys; `wake(queue, count)` sends `count` wake-ups for a queue."""

    def __init__(self, db: Database, wake: Callable[[str, int], None]) -> None:
        self._db = db
        self._wake = wake
        self._last_key = ""

    def accepted(self, accepted: Iterable[Accepted]) -> None:
        """Unblock accepted jobs whose keys have free permits."""
        self._try_unblock({job.concurrency_key for job in accepted if job.concurrency_key and job.blocked_by})

    def became_due(self, promoted: Iterable[Promoted]) -> None:
        """Unblock jobs that promotion made due and whose keys have free permits. Raises StoreUnavailable."""
        self._unblock({key for queue in promoted for key in queue.keys})

    def freed(self, changes: Iterable[Change]) -> None:
        """Give the permits of runs that ended to blocked jobs."""
        changes = list(changes)
        self._try_unblock({change.concurrency_key for change in changes if change.concurrency_key})
        for queue, permits in Counter(change.queue for change in changes if change.limited).items():
            self._wake(queue, permits)

    def check(self) -> bool:
        """Unblock jobs of every key that has free permits, for at most CHECK_S seconds.

        Returns True if the next check may find more to unblock. Raises StoreUnavailable.
        """
        until = time.monotonic() + CHECK_S
        unblocked = 0
        while time.monotonic() < until:
            blocked = self._db.call(limits.blocked_keys, self._last_key)
            unblocked += self._unblock(blocked.keys)
            self._last_key = blocked.last or ""
            if not blocked.last:
                if not unblocked:
                    return False
                unblocked = 0
        return unblocked > 0

    def _try_unblock(self, keys: Collection[str]) -> None:
        with suppress(StoreUnavailable):
            self._unblock(keys)

    def _unblock(self, keys: Collection[str]) -> int:
        unblocked = 0
        ordered = sorted(keys)
        for first in range(0, len(ordered), limits.MAX_KEYS):
            for queue, ready in self._db.call(limits.unblock, ordered[first : first + limits.MAX_KEYS]).items():
                unblocked += ready
                self._wake(queue, ready)
        return unblocked
