"""Watches the runs beside the main thread: interrupts those that the supervisor wants to stop, and reports stalls.

The main thread needs no watch, because it gets a signal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobcore.host.background_thread import BackgroundThread
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import Slot
from jobcore.supervision.stops import Stop
from jobcore.worker.loop_stalls import LoopStalls
from jobcore.worker.room import Room

POLL_S: Final = 0.02
"""How often the slot is read while such runs are under way, in seconds."""


class StopWatch(BackgroundThread):
    """`interrupt` gets each stop that asks for an interrupt, until it returns true for the run."""

    def __init__(self, slot: Slot, room: Room, interrupt: Callable[[Stop], bool]) -> None:
        super().__init__("stop-watch")
        self._slot = slot
        self._room = room
        self._interrupt = interrupt
        self._interrupted: set[RunKey] = set()
        self.stalls: LoopStalls | None = None

    def on_stop(self) -> None:
        """Wake the thread."""
        self._room.wake()

    def run(self) -> None:
        """Watch the slot while runs are under way, until stopped."""
        while not self.stopping:
            self.rest()
            self._room.wait_taken(lambda: self.stopping)
            self.pause(POLL_S)
            self._look()
            if self.stalls is not None:
                self.stalls.check()

    def _look(self) -> None:
        stops = self._slot.stops
        self._interrupted &= stops.keys()
        for key, stop in stops.items():
            if stop.interrupt and key not in self._interrupted and self._interrupt(stop):
                self._interrupted.add(key)
