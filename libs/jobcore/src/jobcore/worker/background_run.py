"""One run beside the main thread, on its way through its lane."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from jobcore.models import Claim, Outcome
from jobcore.states import Lane
from jobcore.supervision.child_state import RunKey
from jobcore.worker.run import JobRun
from jobcore.worker.run_store import RunStore


@dataclass(slots=True, eq=False)
class BackgroundRun:
    """A run that begins now, and how it ended once it has."""

    claim: Claim
    store: RunStore
    lane: Lane
    job: JobRun
    interrupted: bool = False
    """Whether the lane was told to interrupt it."""
    tainted: bool = False
    """Whether it may have left this process in a bad state."""
    outcome: Outcome | None = None
    """None if it must be handed back."""
    began: float = field(default_factory=time.monotonic)
    duration_s: float = 0.0

    @property
    def key(self) -> RunKey:
        """Which run it is."""
        return self.store.key

    def end(self, outcome: Outcome | None) -> None:
        """Its code has ended with this outcome."""
        self.outcome = outcome
        self.duration_s = time.monotonic() - self.began
        if self.interrupted and self.job.stop_method == "finished":
            self.job.stop_method = "cooperative"
