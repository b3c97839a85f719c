"""Unblocking jobs when a limit has free permits, and sending wake-ups for them.

Whoever frees permits calls this at once, to save time; the keeper checks the limits of all keys every second.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, AcceptedAlike, Change
from jobcore.store import limits, start_permits
from jobcore.store.database import Database
from jobcore.store.key_locks import MAX_KEYS
from jobcore.store.promotion import Promoted

CHECK_S: Final = 0.25
"""The longest time, in seconds, that one `check` takes; the next one continues after its last key."""


class Limits:
    """The limits of queues, concurrency keys and rate keys; `wake(queue, count)` sends `count` wake-ups for a queue."""

    def __init__(self, db: Database, wake: Callable[[str, int], None]) -> None:
        self._db = db
        self._wake = wake
        self._last_key = ""

    def accepted(self, accepted: Iterable[Accepted | AcceptedAlike]) -> None:
        """Unblock accepted jobs whose keys have free permits."""
        blocked = [job for job in accepted if job.blocked_by]
        by_rate = {job.rate_key for job in blocked if job.rate_key and not job.concurrency_key}
        self._try_unblock({job.concurrency_key for job in blocked if job.concurrency_key}, by_rate)

    def became_due(self, promoted: Iterable[Promoted]) -> None:
        """Unblock jobs that promotion made due and whose keys have free permits. Raises StoreUnavailable."""
        promoted = list(promoted)
        self._unblock({key for queue in promoted for key in queue.keys})
        self.unblock_starts({key for queue in promoted for key in queue.rate_keys})

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

    def unblock_starts(self, rate_keys: Collection[str]) -> dict[str, float]:
        """Unblock jobs of rate keys that have free permits.

        Returns, for each key that has none left, the seconds until it has. Raises StoreUnavailable.
        """
        next_in_s: dict[str, float] = {}
        for some in _batches(rate_keys, MAX_KEYS):
            found = self._db.call(start_permits.unblock, some)
            next_in_s |= found.next_in_s
            self._wake_all(found.queues)
        return next_in_s

    def _try_unblock(self, keys: Collection[str], rate_keys: Collection[str] = ()) -> None:
        with suppress(StoreUnavailable):
            self._unblock(keys)
            self.unblock_starts(rate_keys)

    def _unblock(self, keys: Collection[str]) -> int:
        unblocked = 0
        for some in _batches(keys, MAX_KEYS):
            found = self._db.call(limits.unblock, some)
            self.unblock_starts(found.rate_keys)
            unblocked += sum(found.queues.values()) + len(found.rate_keys)
            self._wake_all(found.queues)
        return unblocked

    def _wake_all(self, ready: Mapping[str, int]) -> None:
        for queue, jobs in ready.items():
            self._wake(queue, jobs)


def _batches(keys: Collection[str], size: int) -> Iterator[list[str]]:
    ordered = iter(sorted(keys))
    while batch := list(islice(ordered, size)):
        yield batch
