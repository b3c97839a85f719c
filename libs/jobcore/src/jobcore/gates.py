"""Letting jobs pass the gates of their keys (store/gates.py), and waking workers for places that became free.

A courtesy of whoever sees places become free: the keeper does the same for all every second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, Change
from jobcore.store import gates
from jobcore.store.database import Database


class Gates:
    """The gates of all keys; `wake` asks for so many wake-ups of a queue."""

    def __init__(self, db: Database, wake: Callable[[str, int], None]) -> None:
        self._db = db
        self._wake = wake
        self._last_key = ""

    def arrived(self, accepted: Iterable[Accepted]) -> None:
        """Jobs were accepted: those at a gate may find a place at once."""
        self._let_pass({job.concurrency_key for job in accepted if job.concurrency_key and job.gate})

    def freed(self, changes: Iterable[Change]) -> None:
        """Runs are over: their places are free for others."""
        changes = list(changes)
        self._let_pass({change.concurrency_key for change in changes if change.concurrency_key})
        for queue, places in Counter(change.queue for change in changes if change.limited).items():
            self._wake(queue, places)

    def look(self) -> None:
        """The next of the keys at whose gate jobs wait. Raises StoreUnavailable."""
        keys = self._db.call(gates.waiting_keys, self._last_key)
        self._last_key = keys[-1] if len(keys) == gates.BATCH else ""
        self._pass(keys)

    def _let_pass(self, keys: Collection[str]) -> None:
        with suppress(StoreUnavailable):
            self._pass(keys)

    def _pass(self, keys: Collection[str]) -> None:
        if keys:
            for queue, ready in self._db.call(gates.pass_keys, keys).items():
                self._wake(queue, ready)
