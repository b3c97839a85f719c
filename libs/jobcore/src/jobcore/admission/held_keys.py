"""Submissions with a key that another transaction holds. They are set aside, so that no other submission waits for it.

PostgreSQL cannot say whether another transaction holds a key; it can only wait for the end of that transaction. So a
batch waits for WAIT_MS, then its halves for RETRY_WAIT_MS, until the submissions that have to wait are found. These are
tried again every RETRY_S seconds, a few at a time, and get their error when their patience is over.
"""

from __future__ import annotations

import time
from typing import Final

from jobcore.admission.pending import Key, Pending
from jobcore.errors import LongrunError

WAIT_MS: Final = 20
"""How long a batch waits for other transactions. They usually are commits of other processes and take less."""
RETRY_WAIT_MS: Final = 1
RETRY_S: Final = 0.05
RETRIES: Final = 20
"""How many keys are tried at once: each costs the other submissions up to RETRY_WAIT_MS."""
PATIENCE_S: Final = 1.0


class HeldKeys:
    """The submissions that wait for a key, by their keys; those that were tried last come last."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._waiting: dict[tuple[Key, ...], list[tuple[Pending, LongrunError]]] = {}
        self._retry_at = 0.0

    def known(self) -> dict[Key, LongrunError]:
        """The keys that were held at the last try, with the error that their submissions will get."""
        return {key: waiting[0][1] for keys, waiting in self._waiting.items() for key in keys}

    def keep(self, pending: Pending, error: LongrunError) -> bool:
        """Set a submission aside; False if its patience is over."""
        now = time.monotonic()
        if now - pending.since >= self._patience_s:
            return False
        if not self._waiting:
            self._retry_at = now + RETRY_S
        self._waiting.setdefault(pending.keys, []).append((pending, error))
        return True

    def pause_s(self) -> float | None:
        """Seconds until the next try; None if nothing waits."""
        return max(self._retry_at - time.monotonic(), 0.0) if self._waiting else None

    def take_due(self, *, now: bool = False) -> tuple[list[Pending], list[Pending]]:
        """Submissions to try again, one of each key, and then the others with the same keys."""
        if not self._waiting or (time.monotonic() < self._retry_at and not now):
            return [], []
        self._retry_at = time.monotonic() + RETRY_S
        groups = [self._waiting.pop(keys) for keys in list(self._waiting)[:RETRIES]]
        return [group[0][0] for group in groups], [pending for group in groups for pending, _ in group[1:]]

    def take_all(self) -> list[Pending]:
        """All submissions that wait; none waits any more."""
        groups, self._waiting = self._waiting, {}
        return [pending for group in groups.values() for pending, _ in group]
