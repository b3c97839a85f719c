"""Wait for the end of a task with requests that the server answers when it has ended: `GET /tasks/{id}?wait=`.

This does not use a stream: proxies may hold one back, and a blocking read of one cannot have a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from longrun_client import calls
from longrun_client.calls import Call, Until
from longrun_client.errors import LongrunError
from longrun_client.models import Task
from longrun_client.patience import Patience
from longrun_client.server import Server

EXCHANGE_S: Final = 25.0
"""The most seconds that one request waits; proxies that give up on a silent server do so after 30 s or more."""
EARLY_S: Final = 1.0
"""Seconds of rest after an answer that came before its time, as from a server that shuts down."""


class Wait:
    """One wait of at most `timeout_s` seconds (None: for ever) across any number of requests. It does no I/O."""

    def __init__(
        self,
        task_id: str,
        timeout_s: float | None,
        server: Server,
        until: Until = "ended",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._task_id = task_id
        self._until = until
        self._timeout_s = timeout_s
        self._clock = clock
        self._began_at = self._asked_at = clock()
        self._asked_s: float | None = None
        self._patience = Patience(server.shown, server.patience_s, clock=clock)
        self._last: Task | LongrunError | None = None

    def call(self) -> Call[Task]:
        """The next request; raises TimeoutError, with the state of the task, when the time is over."""
        self._asked_at = self._clock()
        left_s = self._left_s()
        if self._asked_s is not None and left_s <= 0:
            what = "end" if self._until == "ended" else "stop"
            raise TimeoutError(f"task {self._task_id} did not {what} within {self._timeout_s:g} s{self._state()}")
        self._asked_s = max(0.0, min(EXCHANGE_S, left_s))
        return calls.get(self._task_id, self._asked_s, self._until)

    def is_over(self, task: Task) -> bool:
        """Whether the task is as it is waited for."""
        return task.ended if self._until == "ended" else task.stopped

    def answered(self, task: Task) -> float:
        """Seconds to rest before the next request, after one whose task is not over."""
        self._last = task
        self._patience.reached()
        is_early = self._clock() - self._asked_at < (self._asked_s or 0)
        return max(0.0, min(EARLY_S, self._left_s())) if is_early else 0.0

    def broke(self, error: LongrunError) -> float:
        """Seconds to rest before the next request, after one that failed.

        Raises the error if it is permanent, or if the server has never answered.
        """
        if self._last is None:
            raise error
        self._last = error
        return max(0.0, min(self._patience.broke(error), self._left_s()))

    def _left_s(self) -> float:
        return float("inf") if self._timeout_s is None else self._began_at + self._timeout_s - self._clock()

    def _state(self) -> str:
        if not isinstance(self._last, Task):
            return f", and {self._last}"
        progress = self._last.progress
        place = f", at {progress.done:g} of {progress.total or '?'}" if progress else ""
        return f": it is {self._last.status}, attempt {self._last.attempt}{place}"
