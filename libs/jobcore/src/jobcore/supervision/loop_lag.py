"""How late the event loops of a worker's children are, seen from outside: a loop that stalls cannot tell.

A loop with async runs posts a beat in its slot every BEAT_S seconds. A task that blocks (a slow computation, a library
that waits without `await`) keeps it from that, and holds up every other async run of the child. The lease does not
depend on it. A stall of more than STALL_S seconds is logged once, and the child prints its stacks (SIGUSR1, by
`faulthandler`: it needs neither the loop nor the interpreter's lock). The child itself names the run in its log.
"""

from __future__ import annotations

import signal
import time
from typing import Final

from jobcore.supervision.child_state import ChildState
from jobcore.supervision.children import Children
from jobcore.supervision.slot import BEAT_S, Slot, run_tag
from jobcore.supervision.slots import Slots
from jobcore.telemetry import logs, metrics

STALL_S: Final = 1.0
WINDOW_S: Final = 15.0
"""How long the metric shows a lag at least, in seconds: as long as there is between two exports."""
STACKS: Final = signal.SIGUSR1

log = logs.get(__name__)


class Highest:
    """The highest of the values that were given within the last WINDOW_S to 2 * WINDOW_S seconds."""

    def __init__(self) -> None:
        self._since = 0.0
        self._before = self._now = 0.0

    def of(self, value: float, now: float) -> float:
        """Add a value, and return the highest one."""
        if now - self._since > WINDOW_S:
            self._before = self._now if now - self._since <= 2 * WINDOW_S else 0.0
            self._since, self._now = now, 0.0
        self._now = max(self._now, value)
        return max(self._before, self._now)


class LoopLag:
    """Measures the lag at each round of the supervisor, and reports each stall once."""

    def __init__(self, slots: Slots, children: Children) -> None:
        self._slots = slots
        self._children = children
        self._reported: dict[int, float] = {}
        self._checked_at = time.monotonic()
        self._highest = Highest()

    def check(self) -> None:
        """Look at every loop once."""
        now = time.monotonic()
        # after a freeze of the whole worker every loop looks late, until it has turned once
        awake = now - self._checked_at < STALL_S
        self._checked_at = now
        if not awake:
            return
        lags = [self._lag(slot, now) for slot in self._slots]
        metrics.LOOP_LAG.set({(): self._highest.of(max(lags), now)})

    def _lag(self, slot: Slot, now: float) -> float:
        beat = slot.loop_beat
        lag = max(0.0, now - beat - BEAT_S) if beat else 0.0
        if lag > STALL_S and self._reported.get(slot.index) != beat:
            self._reported[slot.index] = beat
            log.warning(
                "the event loop of a child is blocked; its stacks follow",
                pid=slot.pid,
                slot=slot.index,
                job_id=_blocking(slot.read(), slot.loop_run),
            )
            self._children.signal(slot.index, STACKS)
        return lag


def _blocking(state: ChildState, tag: int) -> str | None:
    return next((str(run.key.id) for run in state.background if run_tag(run.key) == tag), None)
