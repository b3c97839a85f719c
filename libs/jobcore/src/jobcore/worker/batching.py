"""How many jobs a child claims at once: one, unless recent runs of a task type were short."""

from __future__ import annotations

from typing import Final

BATCH_S: Final = 0.03
"""The time in which a child should finish a batch, in seconds."""
MAX_BATCH: Final = 128
MIN_RUNS: Final = 3
"""The runs of a task type that are measured before it can count as quick."""
_WEIGHT: Final = 0.2


class BatchSize:
    """Measures run times by task type, and adapts the size of the next claim to them."""

    def __init__(self) -> None:
        self._average_s: dict[str, float] = {}
        self._runs: dict[str, int] = {}
        self._share_s = 0.0
        self._size = 1

    def record(self, task_type: str, run_s: float) -> None:
        """Measure a run of `run_s` seconds: a slow run raises the average at once, quick ones lower it slowly."""
        average = self._average_s.get(task_type, run_s)
        self._average_s[task_type] = _smoothed(average, run_s, late=run_s > BATCH_S)
        self._runs[task_type] = self._runs.get(task_type, 0) + 1

    def ended(self, started: int, batch_s: float) -> None:
        """Measure a batch of which `started` jobs ran in `batch_s` seconds: on a busy machine, each takes more than its
        run, and those that do not start in time are claimed in vain."""
        self._share_s = _smoothed(self._share_s, batch_s / max(1, started), late=batch_s > BATCH_S)

    def quick(self) -> list[str]:
        """The task types whose runs are so short that several fit into a batch."""
        return [
            task_type
            for task_type, average in self._average_s.items()
            if self._runs[task_type] >= MIN_RUNS and average <= BATCH_S / 2
        ]

    def claimed(self, count: int, *, more: bool) -> None:
        """Adapt to what a claim returned: the size doubles while more is ready, else it falls by half at most.

        It falls slowly because a claim that is too small is followed by another at once.
        """
        self._size = min(MAX_BATCH, max(self._size, count) * 2) if more else max(1, count, self._size // 2)

    def next(self) -> int:
        """The size of the next claim."""
        quick = self.quick()
        if not quick:
            return 1
        slowest = max(self._average_s[task_type] for task_type in quick)
        fits = int(BATCH_S / max(slowest, self._share_s, BATCH_S / MAX_BATCH))
        return max(1, min(self._size, fits))


def _smoothed(average: float, value: float, *, late: bool) -> float:
    return max(average, value) if late else average + _WEIGHT * (value - average)
