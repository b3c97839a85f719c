"""Letting jobs pass their gates (store/gates.py), and waking workers for them.

A courtesy of whoever sees places become free: the keeper does the same for all gates every second.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from jobcore.errors import StoreUnavailable
from jobcore.models import Accepted, Change
from jobcore.store import gates
from jobcore.store.database import Database


class Gates:
    """The gates of all queues and keys; `wake` asks for so many wake-ups of a queue."""

    def __init__(self, db: Database, wake: Callable[[str, int], None]) -> None:
        self._db = db
        self._wake = wake
        self._last_key = ""

    def arrived(self, accepted: Iterable[Accepted]) -> None:
        """Jobs were accepted: those at a gate may find a place at once."""
        waiting = [job for job in accepted if job.gate]
        self._let_pass(
            {job.concurrency_key for job in waiting if job.concurrency_key and job.gate == "key"},
            {job.queue for job in waiting if job.gate == "queue"},
        )

    def freed(self, changes: Iterable[Change]) -> None:
        """Runs are over: their places are free for others."""
        self._let_pass(
            {change.concurrency_key for change in changes if change.concurrency_key},
            {change.queue for change in changes if change.limited},
        )

    def look(self) -> None:
        """Every limited queue, and the next of the keys at whose gate jobs wait. Raises StoreUnavailable."""
        keys = self._db.call(gates.waiting_keys, self._last_key)
        self._last_key = keys[-1] if len(keys) == gates.BATCH else ""
        queues = self._db.call(gates.limited)
        if queues:
            self._db.call(gates.hold_back, queues)
        self._pass(set(keys), set(queues))

    def _let_pass(self, keys: Collection[str], queues: set[str]) -> None:
        with suppress(StoreUnavailable):
            self._pass(keys, queues)

    def _pass(self, keys: Collection[str], queues: set[str]) -> None:
        if keys:
            passed = self._db.call(gates.pass_keys, keys)
            self._woken(passed)
            queues = queues | {queue for queue, ready in passed.items() if not ready}
        if queues:
            self._woken(self._db.call(gates.pass_queues, queues))

    def _woken(self, passed: dict[str, int]) -> None:
        for queue, ready in passed.items():
            if ready:
                self._wake(queue, ready)
