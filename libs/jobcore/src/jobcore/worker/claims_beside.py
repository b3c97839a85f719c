"""Claims async and thread jobs while a long job holds the main thread of a child, to which all wake-ups go.

It asks PostgreSQL once a second for each queue, and only while such a job runs. Jobs that were suspected wait until the
main thread is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jobcore.host.background_thread import BackgroundThread
from jobcore.worker.background import Background
from jobcore.worker.claimer import Claimer
from jobcore.worker.main_lane import MainLane
from jobcore.worker.retirement import Retirement

CHECK_S: Final = 1.0
HELD_S: Final = 1.0
"""How long a job must hold the main thread before others are claimed beside it, in seconds."""


class ClaimsBeside(BackgroundThread):
    """Serves these queues; `may_claim` says whether the child may claim at all."""

    def __init__(
        self,
        queues: Sequence[str],
        types: Sequence[str],
        *,
        claimer: Claimer,
        main_lane: MainLane,
        background: Background,
        may_claim: Callable[[], bool],
        retirement: Retirement,
    ) -> None:
        super().__init__("claims-beside")
        self._queues = queues
        self._types = types
        self._claimer = claimer
        self._main_lane = main_lane
        self._background = background
        self._room = background.room
        self._may_claim = may_claim
        self._retirement = retirement

    def run(self) -> None:
        """Claim again and again until stopped."""
        while not self.pause(CHECK_S):
            for queue in self._queues if self._types else ():
                while self._claimed(queue):
                    self.beat()

    def _claimed(self, queue: str) -> bool:
        """Claim and start jobs as far as there is room; True if more were ready."""
        with self._claimer.turn:
            if not self._is_due():
                return False
            try:
                claimed = self._claimer.take(queue, self._types, limit=1, suspected=0)
                if claimed is None or not claimed.claims:
                    return False
                self._background.start(claimed.claims, claimed)
            except BaseException:
                # otherwise this child would keep claims that nobody runs
                self._retirement.ask("a claim beside the main thread failed")
                raise
            return claimed.more

    def _is_due(self) -> bool:
        held = self._main_lane.held_s >= HELD_S
        return held and self._may_claim() and self._room.free > 0 and not self._room.has_suspects
