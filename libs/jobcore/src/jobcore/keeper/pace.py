"""How many rows one step over a backlog takes: a row may be a few bytes, or megabytes with thousands of events."""

from __future__ import annotations

from typing import Final

STEP_S: Final = 0.25
"""A step should take about so many seconds."""
FIRST: Final = 250
MOST: Final = 2000


class Pace:
    """The size of the next step, by how long the steps before it took."""

    def __init__(self) -> None:
        self.size = FIRST

    def took(self, seconds: float) -> None:
        """A full step took so long."""
        factor = min(2.0, STEP_S / max(seconds, 0.001))
        self.size = max(1, min(MOST, int(self.size * factor)))

    def failed(self) -> None:
        """A step did not end in time, or could not be tried: the next one is much smaller."""
        self.size = max(1, self.size // 10)
