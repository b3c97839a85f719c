"""The process lane: jobs on the main thread of a child, one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from jobcore.host import clock
from jobcore.models import Claim
from jobcore.store.database import Database
from jobcore.supervision.child_state import RunKey
from jobcore.supervision.slot import Slot
from jobcore.supervision.slots import Slots
from jobcore.supervision.stops import StopReason
from jobcore.tasks import Registry
from jobcore.worker.child_claims import ChildClaims
from jobcore.worker.interrupts import Interrupts
from jobcore.worker.output_capture import CapturedStream, of_job
from jobcore.worker.room import Room
from jobcore.worker.run import JobRun
from jobcore.worker.runs import Claimed, Ended, Runs

STOP_POLL_S: Final = 0.01


class MainLane:
    """Runs jobs where a signal can interrupt them. Each finds the state of the process as it was in a fresh child."""

    def __init__(
        self,
        slots: Slots,
        slot: Slot,
        child_claims: ChildClaims,
        runs: Runs,
        *,
        db: Database,
        registry: Registry,
        interrupts: Interrupts,
        room: Room,
        streams: Iterable[CapturedStream] = (),
    ) -> None:
        self._slots = slots
        self._slot = slot
        self._claims = child_claims
        self._runs = runs
        self._db = db
        self._registry = registry
        self._interrupts = interrupts
        self._room = room
        self._begun_before = 0
        self._began: float | None = None
        self._streams = tuple(streams)

    @property
    def held_s(self) -> float:
        """For how many seconds the job that runs now has held the main thread; 0 if none runs."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def run(self, claim: Claim, claimed: Claimed) -> None:
        """Run this job; returns once its code has ended."""
        key = RunKey(claim.id, claim.fence)
        self._claims.begin(key, claim.timeout_s)
        if self._runs.may_begin(claim, claimed):
            ended = self._execute(claim)
            self._claims.end()
            self._runs.end(ended)
        else:
            self._claims.end()
            self._runs.hand_back(claim)
        self._await_stop_withdrawn(key)

    def _execute(self, claim: Claim) -> Ended:
        store = self._runs.store(claim, self._db)
        began = time.monotonic()
        job = JobRun(store, self._registry)
        if self._room.begun != self._begun_before:  # runs beside this thread may have changed the process
            self._begun_before = self._room.begun
            self._interrupts.restore()
        self._began = began
        try:
            with of_job(str(claim.id), self._streams):
                outcome = job.execute(self._interrupts)
        finally:
            self._began = None
        return Ended(claim, job, outcome, time.monotonic() - began, self._interrupts.tainted)

    def _await_stop_withdrawn(self, key: RunKey) -> None:
        """Start no run while the supervisor may still kill this child for the run that has just ended."""
        while self._slot.stop_reason(key) is not StopReason.NONE and clock.now() < self._slots.deadline:
            time.sleep(STOP_POLL_S)
