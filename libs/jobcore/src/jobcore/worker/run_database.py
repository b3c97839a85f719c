"""The few connections over which the runs beside the main thread store what they say while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from jobcore.errors import StoreUnavailable
from jobcore.host import forks
from jobcore.store.database import Database

CONNECTIONS: Final = 2
WAIT_S: Final = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class RunDatabase:
    """A `Database` of CONNECTIONS connections for many threads, which wait for their turn."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._turns = threading.BoundedSemaphore(CONNECTIONS)
        forks.watch(self)

    def in_fork(self) -> None:
        """Nobody else waits for a turn here."""
        self._turns = threading.BoundedSemaphore(CONNECTIONS)

    def call(self, function: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`Database.call`; also StoreUnavailable after WAIT_S seconds without a turn."""
        if not self._turns.acquire(timeout=WAIT_S):
            raise StoreUnavailable("every database connection of this process is busy")
        try:
            return self._db.call(function, *args, **kwargs)
        finally:
            self._turns.release()
