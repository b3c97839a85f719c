"""How many jobs a child claims at once: one, unless recent runs of a task type were so short that a batch is quick."""

from __future__ import annotations

from typing import Final

BATCH_S: Final = 0.03
"""A batch should be over within this many seconds."""
MAX_BATCH: Final = 128
MIN_RUNS: Final = 3
_WEIGHT: Final = 0.2


class BatchSize:
    """Learns run times by task type and adapts the size of the next claim."""

    def __init__(self) -> None:
        self._average_s: dict[str, float] = {}
        self._runs: dict[str, int] = {}
        self._size = 1

    def record(self, task_type: str, run_s: float) -> None:
        """Note how many seconds one run took: a slow run counts at once, quick ones win trust back slowly."""
        average = self._average_s.get(task_type, run_s)
        self._average_s[task_type] = max(average, run_s) if run_s > BATCH_S else average + _WEIGHT * (run_s - average)
        self._runs[task_type] = self._runs.get(task_type, 0) + 1

    def quick(self) -> list[str]:
        """The task types of which several fit into a batch."""
        return [
            task_type
            for task_type, average in self._average_s.items()
            if self._runs[task_type] >= MIN_RUNS and average <= BATCH_S / 2
        ]

    def claimed(self, count: int, *, more: bool) -> None:
        """Note what a claim found: the size doubles while more is ready, and follows what there is."""
        self._size = min(MAX_BATCH, max(self._size, count) * 2) if more else max(1, count)

    def next(self) -> int:
        """The size of the next claim."""
        quick = self.quick()
        if not quick:
            return 1
        slowest = max(self._average_s[task_type] for task_type in quick)
        fits = int(BATCH_S / max(slowest, BATCH_S / MAX_BATCH))
        return max(1, min(self._size, fits))
