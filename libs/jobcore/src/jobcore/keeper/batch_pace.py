"""How many rows one step over a backlog takes: one row is a few bytes, another has megabytes of events."""

from __future__ import annotations

from typing import Final

STEP_S: Final = 0.25
"""How long one step should take, in seconds."""
FIRST_SIZE: Final = 250
MAX_SIZE: Final = 2000


class BatchPace:
    """The size of the next step, in rows, from the time that earlier steps took."""

    def __init__(self) -> None:
        self.size = FIRST_SIZE

    def succeeded(self, seconds: float) -> None:
        """A full step took this many seconds."""
        factor = min(2.0, STEP_S / max(seconds, 0.001))
        self.size = max(1, min(MAX_SIZE, int(self.size * factor)))

    def failed(self) -> None:
        """A step failed, or did not end in time: the next one is a tenth of its size."""
        self.size = max(1, self.size // 10)
