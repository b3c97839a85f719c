"""Which runs must stop, and why: cancelled by a client, past their timeout, or still running after the drain."""

from __future__ import annotations

import time
from typing import Final

from jobcore.settings import WorkerSettings
from jobcore.store.cancellations import CompletedCancel
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.escalation import Escalation
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import StopReason
from jobcore.supervision.worker_claims import WorkerClaims

CANCEL_CHECK_S: Final = 1.0
"""How often a worker with jobs asks PostgreSQL for cancels, in seconds; Redis usually tells it earlier."""


class StopRules:
    """Requests the stop of each run that must stop; `escalation` carries the requests out."""

    def __init__(self, slots: Slots, escalation: Escalation, claims: WorkerClaims, settings: WorkerSettings) -> None:
        self._slots = slots
        self._escalation = escalation
        self._claims = claims
        self._settings = settings
        self._cancels_due = 0.0

    def check_cancels_now(self) -> None:
        """Let the next `apply` ask PostgreSQL for cancels; callable from any thread."""
        self._cancels_due = 0.0

    def apply(self) -> None:
        """Request the stops that are due now; StoreUnavailable if PostgreSQL does not answer."""
        now = time.monotonic()
        drain_is_over = self._drain_is_over(now)
        busy = False
        for slot in self._slots:
            state = slot.read()
            busy = busy or state.busy
            for run in state.runs:
                if run.deadline is not None and now > run.deadline:
                    self._escalation.request(slot.index, run.key, StopReason.TIMEOUT)
                elif drain_is_over:
                    self._escalation.request(slot.index, run.key, StopReason.DRAIN)
        if now >= self._cancels_due:
            # also if no child is busy: a claim whose reply was lost may be cancelled before it is handed back
            self._cancels_due = now + (CANCEL_CHECK_S if busy else self._settings.heartbeat_s)
            self._apply_cancels()

    def _apply_cancels(self) -> None:
        begun, over = [], []
        for cancel in self._claims.open_cancels():
            key = RunKey(cancel.id, cancel.fence)
            state = self._slots[cancel.slot].read()
            if self._escalation.request(cancel.slot, key, StopReason.CANCEL):
                begun.append(cancel)
            elif key not in state.claims and not state.claiming:
                over.append(CompletedCancel(*key, "finished"))
        self._claims.acknowledge_cancels(begun)
        self._claims.complete_cancels(over)

    def _drain_is_over(self, now: float) -> bool:
        since = self._slots.draining_since
        return since is not None and now > since + self._settings.drain_s
