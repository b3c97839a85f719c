"""What a program needs of its job's context, in memory; and which processes live."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from jobcore.errors import JobCancelled
from jobcore.host.process_table import snapshot

STUBBORN = 'trap "" TERM; (trap "" TERM; echo $BASHPID; while :; do sleep 0.05; done) & echo $$; wait'
"""A shell script that writes its pid and that of a child of it, and does not end by SIGTERM."""


class Context:
    """Keeps what a program says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reported: list[tuple[float, float | None]] = []
        self.stop = threading.Event()

    def raise_if_cancelled(self) -> None:
        if self.stop.is_set():
            raise JobCancelled("stop")

    def log(self, message: str, level: str = "info") -> None:
        assert level == "info"
        self.lines.append(message)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        self.reported.append((done, total))


def alive(pids: Iterable[str]) -> list[int]:
    """Which of these processes are alive."""
    table = snapshot()
    return [int(pid) for pid in pids if int(pid) in table and not table[int(pid)].ended]
